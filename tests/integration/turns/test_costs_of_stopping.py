"""What a turn cost that was cancelled, or let go on purpose: what is known to have been used."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from agents import Agent, function_tool

from parley import TurnContext
from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.ids import new_id
from parley.repository.fair_use import UserBudget
from parley.repository.turns import NewSession
from parley.usage.prices import Price, Prices
from parley_testing.models.scripted import INPUT_TOKENS, OUTPUT_TOKENS, call, in_order, say
from parley_testing.scenarios.spending import SCRIPTED
from parley_testing.workbench import Workbench, held, request

ANSWER = 998
TOOK = INPUT_TOKENS + OUTPUT_TOKENS
NANO = 1_000
OPENS = NewSession(agent="todo", name=None, platform="api", metadata={})
BUDGET = UserBudget(
    100_000, 100_000, ANSWER, usd_per_day=10**15, all_tokens_per_day=10**6, all_usd_per_month=10**15
)
PRICES = Prices({SCRIPTED: Price(1_000_000, 1_000_000)})


def opening() -> Any:
    return request(new_id(), opens=OPENS)


def counted(sql: psycopg.Connection) -> int:
    """The tokens of the user's day; all sums say the same."""
    (user,) = sql.execute("SELECT day_tokens, day_nanodollars FROM user_limits").fetchall()
    (every,) = sql.execute("SELECT day_tokens, day_nanodollars FROM deployment_spending").fetchall()
    assert user == every
    assert user[1] == user[0] * NANO
    return int(user[0])


def bench_of(new_bench: Any, *steps: Any, **fields: Any) -> Workbench:
    bench: Workbench = new_bench(in_order(*steps), user_budget=BUDGET, prices=PRICES, **fields)
    bench.turns.learn_rate("todo", (1_000_000, 1_000_000))
    return bench


@pytest.mark.parametrize("before", [0, 1])
async def test_cancelled_while_a_tool_runs_it_costs_what_was_recorded(
    new_bench: Any, sql: psycopg.Connection, before: int
) -> None:
    """Given a call that is recorded and was held for, then its hold comes back with the end."""

    @function_tool
    async def wait() -> str:
        turn = held_turn[0]
        outcome = await bench.canceller.cancel("alice", turn.session_id, turn.id)
        assert outcome.outcome == "cancelled"
        return "waited"

    @function_tool
    def go_on() -> str:
        return "on"

    agent = Agent[TurnContext](name="todo", tools=[wait, go_on])
    steps = [*[call("go_on", f"c{number}") for number in range(before)], call("wait", "w")]
    bench = bench_of(new_bench, *steps, say("never said"), agent=agent)
    held_turn = [held(bench.turns.begin(opening()))]

    with pytest.raises(Fenced):
        await bench.execute(held_turn[0])

    assert counted(sql) == (before + 1) * TOOK
    assert sql.execute("SELECT status, lost_tokens FROM turns").fetchone() == ("cancelled", 0)


async def test_cancelled_while_the_model_answers_it_costs_what_was_held_for_that(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    """Given a call that is under way, whose provider charges it, then its hold counts."""

    async def cancelled() -> Any:
        turn = held_turn[0]
        await bench.canceller.cancel("alice", turn.session_id, turn.id)
        return say("too late")

    bench = bench_of(new_bench, call("list_tasks", "c"), cancelled)
    held_turn = [held(bench.turns.begin(opening()))]

    with pytest.raises(Fenced):
        await bench.execute(held_turn[0])

    row = sql.execute("SELECT lost_tokens, held_tokens, spent_tokens FROM turns").fetchone()
    assert row is not None
    assert row[0] > ANSWER
    assert row[1:] == (0, TOOK)
    assert counted(sql) == row[0] + TOOK


async def test_who_lets_go_settles_what_is_recorded_and_what_is_not(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    """Given a store that fails with the second answer, then both count as what they took."""
    bench = bench_of(
        new_bench, call("list_tasks", "c1"), call("list_tasks", "c2"), say("again"), say("done")
    )
    turn = held(bench.turns.begin(opening()))
    records = 0

    def away() -> None:
        nonlocal records
        records += 1
        if records > 1:
            raise StoreUnavailable("store", "away")

    bench.watched.before["record"] = away
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn)
    row = sql.execute("SELECT spent_tokens, held_tokens, lost_tokens FROM turns").fetchone()
    assert row == (TOOK, TOOK, 0), "the second was answered, and is asked again"
    assert counted(sql) == 2 * TOOK

    bench.watched.before.clear()
    taken = bench.turns.claim_head(turn.session_id).turn
    assert taken is not None
    view = await bench.execute(taken)

    assert view.turn.status == "completed"
    assert counted(sql) == 3 * TOOK
    assert sql.execute("SELECT lost_tokens FROM turns").fetchone() == (TOOK,)


async def test_a_call_that_is_broken_off_counts_as_what_it_was_expected_to_take(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    """Given a process that is told to stop while the model answers, the provider may charge it."""
    asked = asyncio.Event()

    async def endless() -> Any:
        asked.set()
        await asyncio.Event().wait()

    bench = bench_of(new_bench, call("list_tasks", "c1"), endless)
    turn = held(bench.turns.begin(opening()))
    running = asyncio.create_task(bench.execute(turn))
    await asked.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    row = sql.execute("SELECT spent_tokens, held_tokens FROM turns").fetchone()
    assert row is not None
    assert row[0] == TOOK
    assert row[1] > ANSWER
    assert counted(sql) == sum(row)


async def test_who_has_not_asked_yet_gives_back_what_was_held(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    bench = bench_of(new_bench, say("never said"))
    turn = held(bench.turns.begin(opening()))

    assert counted(sql) > ANSWER
    with pytest.raises(TurnUnfinished):
        await bench.execute(turn, seconds=0)

    assert counted(sql) == 0
