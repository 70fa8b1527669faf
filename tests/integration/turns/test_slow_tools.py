"""A tool whose statement always takes longer than it may does not block its session for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from agents import Agent, FunctionTool, function_tool
from sqlalchemy import text

from parley.errors import StoreUnavailable, TurnFailed
from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.runner.tools import effect_tool
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import Asked, Items, call, in_order, say
from parley_testing.waiting import HANG_SECONDS, longer_and_longer, wait_for
from parley_testing.workbench import Workbench
from tasks_desk import tasks

NewBench = Callable[..., Workbench]
SLOW = "count all that there is"


@effect_tool
def count_everything(effect: Effect) -> int:
    """Take far too long."""
    assert effect.db.scalar(text("SHOW statement_timeout")) == "10s"
    effect.db.execute(text("SET LOCAL statement_timeout = '0.1s'"))  # of this one alone
    effect.db.execute(text("SELECT pg_sleep(30)"))
    return 7


def answer(asked: Asked) -> Items:
    return call("count_everything", "c") if asked.input[-1]["content"] == SLOW else say("fine")


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Workbench]:
    database = Database(lambda: database_url, statement_timeout=10)
    store = SqliteStore(tmp_path / "memory.db")
    agent = Agent[TurnContext](name="todo", tools=[count_everything])
    yield Workbench(database, store, answer, agent=agent, crashes=2)
    store.close()
    database.close()


async def test_its_turn_fails_after_as_many_tries_as_one_that_crashes(bench: Workbench) -> None:
    session_id = bench.new_session()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="57014"):
            await bench.send(session_id, SLOW, key="k")

    with pytest.raises(TurnFailed, match="turn_crashed"):
        await bench.send(session_id, SLOW, key="k")

    assert (await bench.send(session_id, "hello")).view.turn.status == "completed"


class Blocked:
    """A tool's body that waits in its thread until the test lets it go on."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.over = threading.Event()

    def tool(self) -> FunctionTool:
        @effect_tool
        def add(effect: Effect, title: str) -> str:
            """Add a task, at some time."""
            self.calls += 1
            self.begun.set()
            try:
                self.go_on.wait(HANG_SECONDS)
                return tasks.add(effect.db, effect.user_id, title).title
            finally:
                self.over.set()

        return add


@pytest.fixture
def blocked(database: Database) -> Iterator[Blocked]:
    blocked = Blocked()
    yield blocked
    blocked.go_on.set()
    # What its thread still holds could not be closed with the rest.
    wait_for(lambda: database._users.pool.checkedout() == 0)  # type: ignore[attr-defined]


def add_milk(asked: Asked) -> Items:
    return call("add", "c", title="milk") if asked.input[-1]["content"] == SLOW else say("fine")


async def out_of_time(new_bench: NewBench, blocked: Blocked) -> UUID:
    """Have a turn end because its time is up while its tool blocks, and give its session."""
    agent = Agent[TurnContext](name="todo", tools=[blocked.tool()])
    for seconds in longer_and_longer(0.3):
        bench = new_bench(add_milk, agent=agent, turn_seconds=seconds)
        session_id = bench.new_session()
        with pytest.raises(TurnFailed, match="turn_too_long"):
            await bench.send(session_id, SLOW)
        if blocked.begun.is_set():
            return session_id
    raise AssertionError("the tool was never begun")


async def test_a_tool_that_blocks_does_not_outlive_the_time_of_its_turn(
    new_bench: NewBench, blocked: Blocked, sql: psycopg.Connection
) -> None:
    session_id = await out_of_time(new_bench, blocked)

    assert not blocked.over.is_set()  # while the tool still blocks
    bench = new_bench(lambda asked: say("fine"))
    assert (await bench.send(session_id, "hello")).view.turn.status == "completed"
    blocked.go_on.set()
    await asyncio.to_thread(blocked.over.wait, HANG_SECONDS)
    await bench.send(session_id, "hello again")
    assert blocked.calls == 1
    # What it did is not committed, since the agent was told nothing of it.
    assert sql.execute("SELECT title FROM tasks").fetchall() == []
    of_session = "SELECT status FROM turns WHERE session_id = %s ORDER BY number"
    assert sql.execute(of_session, [session_id]).fetchall() == [
        ("failed",),
        ("completed",),
        ("completed",),
    ]


async def test_tools_of_other_turns_do_not_wait_for_one_that_blocks(
    new_bench: NewBench, blocked: Blocked, sql: psycopg.Connection
) -> None:
    await out_of_time(new_bench, blocked)
    other = new_bench(in_order(call("add_task", title="eggs"), say("done")))

    await other.send(other.new_session(), "add eggs")

    assert not blocked.over.is_set()
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("eggs",)]


async def test_a_tool_that_blocks_beside_one_that_fails_does_not_keep_the_turn_open(
    new_bench: NewBench, blocked: Blocked, sql: psycopg.Connection
) -> None:
    @function_tool(failure_error_function=None)
    async def fail() -> str:
        """Fail when the other is under way."""
        await asyncio.to_thread(blocked.begun.wait, HANG_SECONDS)
        raise RuntimeError("no")

    agent = Agent[TurnContext](name="todo", tools=[blocked.tool(), fail])
    bench = new_bench(in_order(call("add", "c1", title="milk") + call("fail", "c2")), agent=agent)

    with pytest.raises(TurnFailed, match="agent_failed"):
        await bench.send(bench.new_session())

    assert not blocked.over.is_set()
    assert sql.execute("SELECT status, attempt FROM turns").fetchall() == [("failed", 2)]


async def test_a_body_that_idles_longer_than_a_statement_may_counts_as_a_crash(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    @effect_tool
    def dawdle(effect: Effect) -> str:
        """Do nothing inside a transaction until the server has had enough of it."""
        assert effect.db.scalar(text("SHOW idle_in_transaction_session_timeout")) == "10s"
        effect.db.execute(text("SET LOCAL idle_in_transaction_session_timeout = '0.1s'"))
        pid = effect.db.scalar(text("SELECT pg_backend_pid()"))
        ended = "SELECT FROM pg_stat_activity WHERE pid = %s"
        wait_for(lambda: not sql.execute(ended, [pid]).fetchall())
        effect.db.execute(text("SELECT 2"))
        return "late"

    bench.agent = Agent[TurnContext](name="todo", tools=[dawdle])
    bench.model.script = lambda _: call("dawdle", "c")
    session_id = bench.new_session()

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="25P03"):
            await bench.send(session_id, key="k")

    with pytest.raises(TurnFailed, match="turn_crashed"):
        await bench.send(session_id, key="k")
