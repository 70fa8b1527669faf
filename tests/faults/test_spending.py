"""A user's budget, spent by many threads of several processes that are killed meanwhile."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count, cycle
from pathlib import Path

import psycopg
import pytest

from parley.errors import LimitReached
from parley.repository.database import Database
from parley.repository.fair_use import UserBudget
from parley.repository.turns import tokens_of
from parley.usage.prices import Price, Prices
from parley_testing.models import scripted
from parley_testing.models.scripted import OUTPUT_TOKENS
from parley_testing.run.at_length import times
from parley_testing.scenarios.fork_server import ForkServer
from parley_testing.scenarios.parts import Parts, Place, new_store
from parley_testing.scenarios.spending import SCRIPTED
from parley_testing.scenarios.turns import TOOLS, lines
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import request

PROCESSES = 4
THREADS = 52
"""Of all processes together, which begin and ask at once."""
ROUNDS = 2
"""How often processes die: less often than a turn may."""
TOOK = 2_000
"""What each call of the model takes."""
LAST = "and now? What else is there?"
"""What is answered without a tool."""
SENT = TOOK - OUTPUT_TOKENS
ANSWER = TOOK - tokens_of(len(LAST))
"""What an answer is expected to come to: a first call holds what it takes, and others more."""
CALLS = times(enough=90, full=1_500)
"""What the budget is enough for, at the most."""
SENDS = CALLS // 3


PRICE = 1_000_000
"""What a token costs, in picodollars: a dollar for a million."""
COST = TOOK * PRICE // 1000
"""What each call costs, in nanodollars."""
BUDGETS = {
    "user_tokens_per_month": UserBudget(tokens_per_month=CALLS * TOOK, answer_tokens=ANSWER),
    "user_usd_per_month": UserBudget(usd_per_month=CALLS * COST, answer_tokens=ANSWER),
    "deployment_tokens_per_month": UserBudget(
        all_tokens_per_month=CALLS * TOOK, answer_tokens=ANSWER
    ),
    "deployment_usd_per_month": UserBudget(all_usd_per_month=CALLS * COST, answer_tokens=ANSWER),
}
USERS = [f"user-{number}" for number in range(7)]
"""Who spend a budget of all users together; one of a user's own is spent by the first."""


@pytest.mark.parametrize("limit", BUDGETS)
@pytest.mark.parametrize("seed", range(times(enough=1, full=4)))
def test_of_a_budget_never_more_is_spent_and_none_of_it_is_lost(
    server: ForkServer,
    place: Place,
    database: Database,
    sql: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    limit: str,
) -> None:
    """Given a budget, when turns of many threads hold and spend it and their processes die.

    What the model was asked is in a file that outlives all processes: that is what was spent. Each
    of these calls is counted, as what it took or, where an attempt died, as what that held; nothing
    is held for ever; and what is left can be spent, to the last call.
    """
    chance = random.Random(seed)
    asked = tmp_path / "asked"
    monkeypatch.setattr(scripted, "INPUT_TOKENS", SENT)
    assert tokens_of(len(TOOLS.text)) == tokens_of(len(LAST))
    budget, money = BUDGETS[limit], "usd" in limit
    users = USERS if limit.startswith("deployment") else USERS[:1]
    prices = Prices({SCRIPTED: Price(PRICE, PRICE)})
    with new_store(place) as store:
        parts = Parts(database, store, TOOLS, asked, user_budget=budget, prices=prices)
        sends = {
            f"key-{number}": {
                "session_id": str(parts.new_session(user)),
                "key": f"key-{number}",
                "user": user,
            }
            for number, user in zip(range(SENDS), cycle(users), strict=False)
        }
        ends: dict[str, str] = {}
        points = ["before a model call"]
        deaths = 0

        for dying in (*[PROCESSES - 1] * ROUNDS, 0):
            left = [send for key, send in sends.items() if key not in ends]
            children = [
                server.fork(
                    place,
                    "tools",
                    asked,
                    sends=left[number::PROCESSES],
                    at_once=THREADS // PROCESSES,
                    budget=asdict(budget),
                    sent_tokens=SENT,
                    price=[PRICE, PRICE],
                    at=[chance.choice(points), chance.randint(1, 9)] if number < dying else None,
                    signal=signal.SIGKILL,
                )
                for number in range(PROCESSES)
            ]
            for child in children:
                if "killed" in child.wait():
                    deaths += 1
                else:
                    ends |= child.result()
                points = sorted({*points, *lines(child.points)})
            _expire(sql)

        assert deaths >= PROCESSES - 1, "those of the first round die"
        assert ends.keys() == sends.keys()
        assert "replied" in ends.values()
        assert set(ends.values()) <= {
            "replied",
            f"refused: {limit}",
            "budget_exceeded",
        }
        _holds(sql, asked, limit)
        # A process's first turn holds its first call by itself, and more than a begin takes it for.
        parts.sender.turns.learn_rate("todo", (PRICE, PRICE))
        asyncio.run(_spend_the_rest(parts, users))
        each = COST if money else TOOK
        assert _holds(sql, asked, limit) + each > CALLS * each
        print(f"{len(lines(asked))} calls of {CALLS}, {deaths} deaths, {Counter(ends.values())}")


def _expire(sql: psycopg.Connection) -> None:
    sql.execute(
        "UPDATE turns SET lease_expires_at = now() - interval '1 second' WHERE status = 'running'"
    )


def _holds(sql: psycopg.Connection, asked: Path, limit: str) -> int:
    """Check what is counted against what the model was asked, and give how much it is."""
    calls = len(lines(asked))
    unit, each = ("nanodollars", COST) if "usd" in limit else ("tokens", TOOK)
    table = "deployment_spending" if limit.startswith("deployment") else "user_limits"
    (used,) = sql.execute(f"SELECT month_{unit} FROM {table}").fetchone() or (0,)
    assert calls <= CALLS, "never more"
    assert calls * each <= used, "each call is counted"
    counted = sql.execute(
        f"SELECT sum(held_{unit})::bigint, sum(spent_{unit} + lost_{unit})::bigint FROM turns"
    ).fetchone()
    assert counted == (0, used), "nothing is held for ever, and nothing drifts"
    of_users = sql.execute(f"SELECT sum(month_{unit})::bigint FROM user_limits").fetchone()
    assert of_users == (used,), "all users' come to the same"
    odd = sql.execute(
        "SELECT id FROM turns WHERE status NOT IN ('completed', 'failed')"
        " OR (attempt = 1 AND lost_tokens > 0) OR spent_tokens <> model_calls * %s",
        (TOOK,),
    ).fetchall()
    assert odd == [], "only what an attempt held that died is counted otherwise than it was told"
    return int(used)


async def _spend_the_rest(parts: Parts, users: Sequence[str]) -> None:
    """Send messages one after the other until one is refused."""
    for number, user in zip(count(), cycle(users), strict=False):
        message = request(parts.new_session(user), LAST, user=user, key=f"last-{number}")
        try:
            await parts.sender.send(message, seconds=HANG_SECONDS)
        except LimitReached:
            return
