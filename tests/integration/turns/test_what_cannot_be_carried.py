"""Turns that are stopped while something is under way, and agents that cannot be carried."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent, CustomTool, function_tool

from parley.errors import StoreUnavailable, TurnFailed
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.scope import Scope
from parley.repository.turns import Usage
from parley.runner.tools import effect_tool
from parley.turns import effects
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import call, in_order, say
from parley_testing.postgres.databases import owner_url
from parley_testing.waiting import HANG_SECONDS, longer_and_longer
from parley_testing.workbench import Workbench, request
from tasks_desk import tasks

NewBench = Callable[..., Workbench]


@effect_tool
def add(effect: Effect, title: str) -> str:
    """Add a task."""
    return tasks.add(effect.db, effect.user_id, title).title


@function_tool(failure_error_function=None)
def fail() -> str:
    """Fail the run."""
    raise RuntimeError("no")


class SlowCommits(Database):
    """A database whose commits are carried out at once and answered late."""

    late = 2.0

    @contextmanager
    def transaction(self, scope: Scope) -> Any:
        with super().transaction(scope) as connection:
            yield connection
        time.sleep(self.late)


@pytest.fixture
def slow(database_url: str) -> Any:
    database = SlowCommits(lambda: database_url, statement_timeout=10)
    yield database
    database.close()


def tasks_of(sql: psycopg.Connection) -> int:
    (count,) = sql.execute("SELECT count(*) FROM tasks").fetchone() or (0,)
    return int(count)


async def shown_next(bench: Workbench, session_id: UUID) -> str:
    """Send another message, and give what the model is shown of the past."""
    bench.model.script = in_order(say("ok"))
    await bench.send(session_id, "next")
    return str(bench.model.asked[-1].input[:-1])


async def test_an_effect_whose_commit_outlasts_the_turn_is_told_of(
    new_bench: NewBench,
    slow: SlowCommits,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(effects, "BODY_SECONDS", HANG_SECONDS)
    for seconds in longer_and_longer(1.5):
        slow.late = seconds + 0.5
        bench = new_bench(
            in_order(call("add", title="milk")),
            database=slow,
            agent=Agent[TurnContext](name="todo", tools=[add]),
            turn_seconds=seconds,
        )
        session_id = bench.new_session()

        with pytest.raises(TurnFailed, match="turn_too_long"):
            await bench.send(session_id)

        if tasks_of(sql):  # it came as far as that before it had to end
            break
    assert tasks_of(sql) == 1
    bench = new_bench(in_order(), agent=bench.agent)
    assert "milk" in await shown_next(bench, session_id)


async def test_an_effect_beside_a_tool_that_fails_is_told_of(
    new_bench: NewBench, slow: Database, sql: psycopg.Connection
) -> None:
    bench = new_bench(
        in_order(call("add", "c1", title="milk") + call("fail", "c2")),
        database=slow,
        agent=Agent[TurnContext](name="todo", tools=[add, fail]),
    )
    session_id = bench.new_session()

    with pytest.raises(TurnFailed, match="agent_failed"):
        await bench.send(session_id)

    told = await shown_next(new_bench(in_order(), agent=bench.agent), session_id)
    assert ("milk" in told) == (tasks_of(sql) == 1)


async def test_effects_whose_records_are_gone_are_not_done_again(
    new_bench: NewBench,
    store: AgentSessionStore,
    sql: psycopg.Connection,
    expire: Callable[[UUID], None],
) -> None:
    agent = Agent[TurnContext](name="todo", tools=[add])
    first = new_bench(in_order(call("add", title="milk"), StoreUnavailable("x", "y")), agent=agent)
    session_id = first.new_session()
    asked = request(session_id, key="k")
    with pytest.raises(StoreUnavailable):
        await first.sender.send(asked, seconds=60)
    store.forget(conversation_key("alice", session_id))
    second = new_bench(in_order(call("add", title="milk"), say("ok")), agent=agent)

    with pytest.raises(TurnFailed, match="memory_unreadable"):
        await second.sender.send(asked, seconds=60)

    assert tasks_of(sql) == 1
    assert second.model.asked == []
    assert "milk" in await shown_next(second, session_id)


async def test_an_agent_that_goes_past_the_record_is_refused_before_the_model_is_asked(
    new_bench: NewBench,
) -> None:
    custom = CustomTool(name="c", description="d", on_invoke_tool=lambda *_: None)
    inner = Agent[TurnContext](name="inner", tools=[custom])
    bench = new_bench(in_order(say("ok")), agent=Agent(name="outer", handoffs=[inner]))

    with pytest.raises(TurnFailed, match="agent_not_supported") as failed:
        await bench.send(bench.new_session())

    assert bench.model.asked == []
    assert "The agent inner has the tool c" in failed.value.detail


async def test_an_agent_that_cannot_be_built_fails_its_turns_and_does_not_block(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = new_bench(in_order(say("ok")))
    session_id = bench.new_session()

    def broken(name: str) -> Agent[TurnContext]:
        raise ImportError("no module named secret")

    with monkeypatch.context() as patch:
        patch.setattr("parley.agents.registry.load", broken)
        with pytest.raises(TurnFailed) as failed:
            await bench.send(session_id)

    assert (failed.value.code, "secret" in failed.value.detail) == ("agent_failed", False)
    assert (await bench.send(session_id)).view.turn.status == "completed"


async def test_a_defect_counts_as_a_crash_until_the_turn_is_given_up(
    new_bench: NewBench, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(), crashes=2)
    bench.watched.before["finish"] = lambda: 1 / 0
    bench.model.script = lambda asked: say("ok")
    session_id = bench.new_session()
    asked = request(session_id, key="k")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await bench.sender.send(asked, seconds=60)

    with pytest.raises(TurnFailed, match="turn_crashed"):
        await bench.sender.send(asked, seconds=60)


def test_a_begin_that_waited_for_a_clear_believes_nothing_from_before_it(
    bench: Workbench, sql: psycopg.Connection, database_url: str
) -> None:
    session_id = bench.new_session()
    turn = bench.begin(session_id)
    assert bench.turns.complete(turn, "one", Usage(), None)
    url = owner_url(database_url).replace("+psycopg", "")
    begun: list[Any] = []
    with psycopg.connect(url) as clearing:
        clearing.execute("UPDATE sessions SET memory_from = next_number")
        beginning = threading.Thread(target=lambda: begun.append(bench.begin(session_id, "two")))
        beginning.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while sql.execute(waiting).fetchone() == (0,):
            pass
        clearing.commit()
        beginning.join()

    assert begun[0].remembered == ()
