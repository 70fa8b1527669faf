"""What making a summary took is counted, whatever becomes of it, and held against budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from parley.cleanup.forgetting import Forgetter
from parley.memory.store import AgentSessionStore
from parley.repository.fair_use import UserBudget
from parley.usage.prices import Price, Prices
from parley.users.erasure import Eraser
from parley_testing.models.notes import keeping_facts
from parley_testing.models.scripted import Answer, Asked, say
from parley_testing.scenarios.spending import SCRIPTED
from parley_testing.scenarios.summaries import taken, talked
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import SUMMARIES, Workbench

NewBench = Callable[..., Workbench]

# A window of four items moves in the fourth turn.
ITEMS = 4
FIRST_STEP = 4
NANO = 1_000
TOOK = 8
"""The tokens of each call."""
PRICES = Prices({SCRIPTED: Price(1_000_000, 1_000_000)})
PLENTY = UserBudget(
    10**9, 10**9, usd_per_day=10**15, all_tokens_per_month=10**9, all_usd_per_day=10**15
)


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@pytest.fixture
def talk_to(new_bench: NewBench) -> Callable[..., Workbench]:
    def make(script: Callable[[Asked], Answer] = keeping_facts, **fields: Any) -> Workbench:
        given = {"memory_items": ITEMS, "summarised": True, "prices": PRICES, **fields}
        return new_bench(script, **given)

    return make


TalkTo = Callable[..., Workbench]


def beside_turns(sql: psycopg.Connection) -> dict[str, tuple[int, int]]:
    """The tokens and nanodollars of each sum that no turn has spent."""
    sums = {
        "usage": "SELECT sum(input_tokens + output_tokens), sum(cost_nanodollars) FROM daily_usage",
        "user": "SELECT sum(day_tokens), sum(day_nanodollars) FROM user_limits",
        "all": "SELECT sum(day_tokens), sum(day_nanodollars) FROM deployment_spending",
    }
    turns = {
        "usage": "SELECT sum(input_tokens + output_tokens), sum(cost_nanodollars) FROM turns",
        "user": "SELECT sum(spent_tokens), sum(spent_nanodollars) FROM turns",
    }

    def row(query: str) -> tuple[int, int]:
        tokens, cost = sql.execute(query).fetchone() or (0, 0)
        return int(tokens or 0), int(cost or 0)

    return {
        name: tuple(  # type: ignore[misc]
            there - of_turns
            for there, of_turns in zip(row(query), row(turns.get(name, turns["user"])), strict=True)
        )
        for name, query in sums.items()
    }


async def test_what_it_took_counts_for_every_budget_and_is_shown_with_its_cost(
    talk_to: TalkTo, sql: psycopg.Connection
) -> None:
    bench = talk_to(user_budget=PLENTY)
    session_id = await talked(bench, FIRST_STEP)
    assert set(beside_turns(sql).values()) == {(0, 0)}

    assert await bench.summarise(session_id)

    took = (TOOK, TOOK * NANO)
    assert beside_turns(sql) == {"usage": took, "user": took, "all": took}
    told = bench.summaries.of_session("alice", session_id).usage.in_all
    assert (told.calls, told.cost, told.unpriced) == (1, TOOK * NANO, 0)


async def test_without_a_budget_none_is_counted(talk_to: TalkTo, sql: psycopg.Connection) -> None:
    bench = talk_to(prices=Prices())
    session_id = await talked(bench, FIRST_STEP)

    assert await bench.summarise(session_id)

    assert beside_turns(sql)["user"] == (0, 0)
    told = bench.summaries.of_session("alice", session_id).usage.in_all
    assert (told.calls, told.cost, told.unpriced) == (1, None, 1)


@pytest.mark.parametrize("how", ["cleared", "deleted", "replaced", "erased"])
async def test_it_counts_though_nothing_came_of_it(
    talk_to: TalkTo, sql: psycopg.Connection, how: str
) -> None:
    """Given one that is made while its memory goes, then what was paid for it is in the sums."""
    bench = talk_to(
        lambda asked: gone() if asked.model == SUMMARIES else say("ok"), user_budget=PLENTY
    )
    session_id = await talked(bench, FIRST_STEP)
    before = sql.execute("SELECT sum(calls) FROM daily_usage").fetchone() or (0,)
    counted = beside_turns(sql)["user"][0]
    spent = sql.execute("SELECT day_tokens FROM user_limits").fetchone() or (0,)

    def gone() -> Answer:
        forgetter = Forgetter(bench.sessions, lambda: bench.store, ITEMS)
        match how:
            case "cleared":
                forgetter.clear("alice", session_id)
            case "deleted":
                forgetter.delete("alice", session_id)
            case "replaced":
                sql.execute("UPDATE sessions SET summarising_attempt = summarising_attempt + 1")
                bench.store.claim(
                    f"user_alice_conv_{session_id}", making.taken.key, making.taken.attempt + 1
                )
            case _:
                Eraser(bench.database, lambda: bench.store).erase(
                    "alice", left=lambda: HANG_SECONDS
                )
        return say("what came to nothing")

    making = await taken(bench, session_id)

    assert await bench.summariser.make(making, seconds=60) is False

    assert counted == 0
    after = sql.execute("SELECT sum(calls), count(*) FROM daily_usage").fetchone() or (0, 0)
    if how == "erased":
        assert after == (None, 0), "nothing is written of one who was erased"
        assert sql.execute("SELECT count(*) FROM user_limits").fetchone() == (0,)
        return
    assert after[0] == before[0] + 1
    assert sql.execute("SELECT day_tokens FROM user_limits").fetchone() == (spent[0] + TOOK,)


@pytest.mark.parametrize(
    "limit",
    [
        *("tokens_per_day", "tokens_per_month", "usd_per_day", "usd_per_month"),
        *("all_tokens_per_day", "all_tokens_per_month", "all_usd_per_day", "all_usd_per_month"),
    ],
)
async def test_none_is_begun_where_a_budget_is_used_up_and_one_is_later(
    talk_to: TalkTo, sql: psycopg.Connection, limit: str
) -> None:
    """Given a budget that the turns have used up, then the summary waits until it renews."""
    before = talk_to(user_budget=PLENTY)
    session_id = await talked(before, FIRST_STEP)
    spent = FIRST_STEP * TOOK * (NANO if "usd" in limit else 1)
    bench = talk_to(user_budget=UserBudget(**{limit: spent}))

    assert await bench.summariser.take(session_id) is None
    later = talk_to(user_budget=UserBudget(**{limit: spent + 1}))
    assert await later.summarise(session_id)


async def test_under_a_budget_in_money_a_model_without_a_price_is_not_asked(
    talk_to: TalkTo, sql: psycopg.Connection
) -> None:
    session_id = await talked(talk_to(user_budget=PLENTY), FIRST_STEP)
    asked: list[Any] = []

    def never(of: Asked) -> Answer:
        asked.append(of)
        return say("never")

    bench = talk_to(never, user_budget=PLENTY, prices=Prices())

    assert not await bench.summarise(session_id)

    assert asked == []
    failures = sql.execute("SELECT summarising_failures, summarising_until > now() FROM sessions")
    assert failures.fetchone() == (1, True)
