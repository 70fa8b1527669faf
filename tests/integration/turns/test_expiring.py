"""What the agent remembers expires, and a session that is used goes on as if it did not."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import StoreUnavailable
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore, Held
from parley.repository.database import Database
from parley.repository.sessions import SessionRepository
from parley_testing.models.scripted import Answer, Asked, call, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.stores.moving_clock import MovingClock
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]
LIFE = 8.75  # days: a retention of a week, and a quarter more
PLAIN = ["read_newest", "finish"]


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    return MovingClock(monkeypatch)


class ProcessDied(BaseException):
    """Nothing of Parley's may catch it."""


def counting() -> Callable[[Asked], Answer]:
    numbers = itertools.count(1)
    return lambda asked: say(f"answer {next(numbers)}")


def said(asked: Asked) -> list[Any]:
    return [item.get("type", item.get("content")) for item in asked.input]


async def test_a_session_that_comes_back_is_rebuilt_once(
    new_bench: NewBench, clock: MovingClock, wire: PostgresWire, wired: Database
) -> None:
    """Taken from the transcript at every turn, each would cost a read and a round trip more."""
    bench = new_bench(counting(), database=wired)
    session_id = bench.new_session()
    for number in range(1, 6):
        await bench.send(session_id, f"question {number}")
    clock.move(days=LIFE)
    bench.watched.calls.clear()
    wire.reset()

    await bench.send(session_id, "question 6")

    assert bench.watched.calls == ["read_newest", "read", "finish", "write_back"]
    assert wire.round_trips == 3, wire.statements
    for number in (7, 8):
        bench.watched.calls.clear()
        wire.reset()
        await bench.send(session_id, f"question {number}")
        assert bench.watched.calls == PLAIN
        assert wire.round_trips == 2, wire.statements
    told = [text for n in range(1, 8) for text in (f"question {n}", f"answer {n}")]
    assert said(bench.model.asked[-1]) == [*told, "question 8"]


async def test_a_session_that_is_used_remembers_however_old_it_is(
    new_bench: NewBench, clock: MovingClock
) -> None:
    """Of 16 turns, one a day, each costs a read and a write, and some write what they saw anew."""
    bench = new_bench(in_order(call("list_tasks"), *[say(f"answer {n}") for n in range(1, 17)]))
    session_id = bench.new_session()
    written = 0

    for day in range(1, 17):
        bench.watched.calls.clear()
        await bench.send(session_id, f"question {day}")
        renewed = bench.watched.calls.count("write_back")
        plain = [name for name in bench.watched.calls if name not in ("record", "write_back")]
        assert [name for name in plain if name != "forget_before"] == PLAIN
        written += renewed
        clock.move(days=1)

    assert said(bench.model.asked[-1])[:4] == [
        *("question 1", "function_call", "function_call_output", "answer 1")
    ]
    assert len(bench.model.asked[-1].input) == 2 * 16 + 1
    assert 0 < written <= 8, "not with every turn"


async def test_after_the_retention_without_a_turn_all_of_it_is_still_there(
    new_bench: NewBench, clock: MovingClock
) -> None:
    bench = new_bench(in_order(call("list_tasks"), *[say(f"answer {n}") for n in range(1, 9)]))
    session_id = bench.new_session()

    for number in range(1, 9):
        await bench.send(session_id, f"question {number}")
        assert "read" not in bench.watched.calls
        clock.move(days=6.9)

    assert "function_call" in said(bench.model.asked[-1])


async def test_a_busy_session_writes_nothing_anew(new_bench: NewBench, clock: MovingClock) -> None:
    bench = new_bench(counting(), memory_items=10)
    session_id = bench.new_session()

    for number in range(1, 13):
        await bench.send(session_id, f"question {number}")
        clock.move(days=0.3)

    assert "write_back" not in bench.watched.calls


async def test_the_turn_at_which_the_window_ends_is_kept_as_well(
    new_bench: NewBench, clock: MovingClock
) -> None:
    """Its size is why it ends there: without it, it would be taken for lost at every turn."""
    calls = [call("list_tasks", f"call_{number}") for number in range(4)]
    bench = new_bench(in_order(*calls, *[say(f"answer {n}") for n in range(1, 6)]), memory_items=8)
    session_id = bench.new_session()
    for number in range(1, 6):
        await bench.send(session_id, f"question {number}")
        clock.move(days=2.5)

    assert "read" not in bench.watched.calls


async def test_memory_that_was_lost_is_written_back_too(new_bench: NewBench) -> None:
    bench = new_bench(counting())
    session_id = bench.new_session()
    for number in range(1, 4):
        await bench.send(session_id, f"question {number}")
    bench.store.forget(conversation_key("alice", session_id))
    await bench.send(session_id, "question 4")
    bench.watched.calls.clear()

    await bench.send(session_id, "question 5")

    assert bench.watched.calls == PLAIN


async def test_a_note_of_a_failed_turn_is_written_back_as_it_was(new_bench: NewBench) -> None:
    bench = new_bench(
        in_order(call("add_task", title="milk"), ValueError(), say("one"), say("two"))
    )
    session_id = bench.new_session()
    with pytest.raises(Exception, match="failed"):
        await bench.send(session_id, "add milk")
    before = said_in(bench.store, session_id)
    bench.store.forget(conversation_key("alice", session_id))

    await bench.send(session_id, "hello")

    assert said_in(bench.store, session_id)[:2] == before


async def test_what_is_written_back_has_all_that_a_restored_database_is_measured_by(
    new_bench: NewBench,
) -> None:
    """A turn whose end Postgres has lost is taken over: what its tools did must be there."""
    bench = new_bench(in_order(call("add_task", title="milk"), say("added"), say("hello")))
    session_id = bench.new_session()
    await bench.send(session_id, "add milk")
    conversation = conversation_key("alice", session_id)
    (before,) = bench.store.read_newest(conversation, None)
    bench.store.forget(conversation)

    await bench.send(session_id, "hello")

    after = bench.store.read_newest(conversation, None)[-1].memory
    assert before.memory is not None
    assert after is not None
    assert (after.reply, after.usage, after.tool_calls) == (
        before.memory.reply,
        before.memory.usage,
        before.memory.tool_calls,
    )
    assert after.tool_calls == 1


async def test_a_turn_ends_though_memory_cannot_be_written_back(
    new_bench: NewBench, clock: MovingClock
) -> None:
    bench = new_bench(counting())
    session_id = bench.new_session()
    await bench.send(session_id, "question 1")
    clock.move(days=LIFE)

    def unavailable() -> None:
        raise StoreUnavailable("agent-session store", "down")

    bench.watched.before["write_back"] = unavailable
    sent = await bench.send(session_id, "question 2")

    assert sent.view.turn.status == "completed"
    del bench.watched.before["write_back"]
    await bench.send(session_id, "question 3")
    assert said(bench.model.asked[-1])[:2] == ["question 1", "answer 1"]


async def test_what_was_cleared_meanwhile_stays_forgotten(
    new_bench: NewBench, clock: MovingClock, database: Database
) -> None:
    """Written back after the clearing, it is vouched for no more: nobody reads it."""
    bench = new_bench(counting())
    session_id = bench.new_session()
    await bench.send(session_id, "a secret")
    clock.move(days=LIFE)
    bench.watched.before["write_back"] = lambda: SessionRepository(database).forget(
        "alice", session_id
    )
    await bench.send(session_id, "question 2")

    await bench.send(session_id, "question 3")

    assert said(bench.model.asked[-1]) == ["question 3"]


async def test_a_turn_that_failed_leaves_no_records(new_bench: NewBench) -> None:
    """They hold what the model said, and nobody goes on from them."""
    bench = new_bench(in_order(call("list_tasks"), ValueError(), say("hello")))
    session_id = bench.new_session()
    with pytest.raises(Exception, match="failed"):
        await bench.send(session_id, "what do I have?")

    assert bench.watched.calls[-2:] == ["record", "discard"]
    assert bench.store.weigh(conversation_key("alice", session_id)) == Held(1, 0)
    bench.watched.calls.clear()
    await bench.send(session_id, "hello")
    assert bench.watched.calls == PLAIN


async def test_a_turn_that_failed_at_once_has_nothing_to_discard(new_bench: NewBench) -> None:
    bench = new_bench(in_order(ValueError()))
    with pytest.raises(Exception, match="failed"):
        await bench.send(bench.new_session(), "hello")

    assert "discard" not in bench.watched.calls


async def test_a_turn_is_carried_on_from_its_records_however_late(
    new_bench: NewBench,
    clock: MovingClock,
    expire: Callable[[UUID], None],
    sql: psycopg.Connection,
) -> None:
    """A deployment that stood still for two months goes on where it was."""

    def died() -> Any:
        raise ProcessDied

    first = new_bench(in_order(call("add_task", title="milk"), died))
    session_id = first.new_session()
    with pytest.raises((ProcessDied, asyncio.CancelledError)):
        await first.send(session_id, "add milk")
    clock.move(days=60)
    for (turn_id,) in sql.execute("SELECT id FROM turns").fetchall():
        expire(turn_id)
    first.store.remove_expired(100)
    second = new_bench(in_order(say("added")))

    assert await second.session_worker.run_next(session_id, seconds=60)

    assert len(second.model.asked) == 1, "the recorded call is not made again"
    assert sql.execute("SELECT status FROM turns").fetchall() == [("completed",)]
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]


def said_in(store: AgentSessionStore, session_id: UUID) -> list[Any]:
    """Return what memory holds, oldest first."""
    turns = store.read_newest(conversation_key("alice", session_id), None)
    return [
        item.get("content")
        for turn in reversed(turns)
        for item in (turn.memory.items if turn.memory else [])
    ]
