"""The first call of the model is held by the begin; asked for again where that is out of date."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent

from parley import TurnContext
from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.fair_use import UNBOUNDED, UserBudget
from parley.repository.turns import NewSession
from parley.repository.user_budgets import OwnBudget, UserBudgets
from parley_testing.models.scripted import INPUT_TOKENS, OUTPUT_TOKENS, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.waiting import HANG_SECONDS, longer_and_longer
from parley_testing.workbench import held, request

ANSWER = 998
HELLO = 1_000
TOOK = INPUT_TOKENS + OUTPUT_TOKENS
OPENS = NewSession(agent="todo", name=None, platform="api", metadata={})


def budget(day: int) -> UserBudget:
    return UserBudget(day, 0, ANSWER)


def agent(instructions_bytes: int) -> Agent[TurnContext]:
    return Agent[TurnContext](name="todo", instructions="x" * instructions_bytes)


@pytest.fixture
def budgets(database: Database) -> UserBudgets:
    return UserBudgets(database, UNBOUNDED)


def opening() -> Any:
    return request(new_id(), opens=OPENS)


def status(sql: psycopg.Connection, turn_id: UUID | None) -> tuple[str, str | None]:
    row = sql.execute("SELECT status, error_code FROM turns WHERE id = %s", [turn_id]).fetchone()
    assert row is not None
    return row


async def test_one_that_is_much_larger_than_the_begin_expected_is_asked_for(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    """Given an agent with long instructions, which no begin of a first turn can know of."""
    asked: list[Any] = []

    def script(_: Any) -> Any:
        asked.append(1)
        return say("never said")

    bench = new_bench(script, user_budget=budget(5 * HELLO), agent=agent(40_000))
    turn = held(bench.turns.begin(opening()))

    view = await bench.execute(turn)

    assert (view.turn.status, view.turn.error_code, asked) == ("failed", "budget_exceeded", [])
    assert sql.execute("SELECT day_tokens FROM user_limits").fetchone() == (0,)


@pytest.mark.parametrize(("instructions_bytes", "trips"), [(2_000, 2), (40_000, 3)])
async def test_one_that_is_about_as_large_takes_no_round_trip(
    new_bench: Any, wire: PostgresWire, wired: Database, instructions_bytes: int, trips: int
) -> None:
    bench = new_bench(
        in_order(say("before"), say("hi")),
        user_budget=budget(100_000),
        database=wired,
        agent=agent(instructions_bytes),
    )
    await bench.sender.send(opening(), seconds=HANG_SECONDS)
    wire.reset()
    sent = await bench.sender.send(opening(), seconds=HANG_SECONDS)

    assert sent.view.turn.status == "completed"
    assert wire.round_trips == trips, wire.statements


async def test_turns_that_waited_spend_no_more_than_there_is(
    new_bench: Any, budgets: UserBudgets, sql: psycopg.Connection
) -> None:
    """Given a queue that was accepted while there was room, and a budget that is used up then."""
    asked: list[Any] = []

    def script(_: Any) -> Any:
        asked.append(1)
        return say("hi")

    bench = new_bench(script)
    budgets.put("alice", OwnBudget(tokens_per_day=100_000))
    first = held(bench.turns.begin(opening()))
    later = [bench.turns.begin(request(first.session_id), enqueue=True).turn_id for _ in range(2)]
    await bench.execute(first)
    budgets.put("alice", OwnBudget(tokens_per_day=TOOK))

    for _ in later:
        taken = bench.turns.claim_head(first.session_id).turn
        assert taken is not None
        await bench.execute(taken)

    assert [status(sql, each) for each in later] == [("failed", "budget_exceeded")] * 2
    assert len(asked) == 1
    assert sql.execute("SELECT day_tokens FROM user_limits").fetchone() == (TOOK,)


async def test_a_call_that_time_ends_counts_as_what_it_was_expected_to_take(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    """Given a model that is slower than a turn may be, whose provider charges each call."""

    asked = asyncio.Event()

    async def endless() -> Any:
        asked.set()
        await asyncio.Event().wait()

    for seconds in longer_and_longer(0.5):
        bench = new_bench(in_order(endless), user_budget=budget(100_000), turn_seconds=seconds)
        turn = held(bench.turns.begin(opening()))

        view = await bench.execute(turn)

        assert (view.turn.status, view.turn.error_code) == ("failed", "turn_too_long")
        if asked.is_set():  # the turn came as far as that in time
            break
    (counted,) = sql.execute("SELECT day_tokens FROM user_limits").fetchone() or (0,)
    assert counted > ANSWER
