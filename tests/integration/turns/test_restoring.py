"""Postgres is restored to an earlier moment, and the store is not; or the other way round.

See docs/restore.md. The numbers of turns are given out again; what the store holds of the lost
turns is told to nobody, and is in nobody's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from parley.errors import StoreUnavailable, TurnFailed
from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import EventLog, TurnEvent
from parley.events.sqlite import SqliteEventLog
from parley.ids import conversation_key
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.turns import RunningTurn
from parley_testing.models.scripted import Asked, call, in_order, say
from parley_testing.stores.backups import PostgresBackup
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]
Expire = Callable[[UUID], None]


@pytest.fixture
def log(
    request: pytest.FixtureRequest, each_store: AgentSessionStore, tmp_path: Path
) -> Iterator[EventLog]:
    """The log beside the store."""
    if isinstance(each_store, DynamoDbStore):
        yield DynamoDbEventLog(request.getfixturevalue("dynamodb_client"), "memory")
        return
    with closing(SqliteEventLog(tmp_path / "memory.db")) as built:
        yield built


@pytest.fixture
def make(new_bench: NewBench, each_store: AgentSessionStore, log: EventLog) -> NewBench:
    return lambda *answers: new_bench(in_order(*answers), store=each_store, events=log)


def told(bench: Workbench, log: EventLog, turn: RunningTurn) -> list[TurnEvent]:
    return log.read(conversation_key(turn.user_id, turn.session_id), turn.key)


def titles(sql: psycopg.Connection) -> list[str]:
    return [title for (title,) in sql.execute("SELECT title FROM tasks").fetchall()]


def unavailable() -> None:
    raise StoreUnavailable("agent-session store", "down")


def shown(asked: Asked) -> str:
    return str(asked.input)


async def lose_a_turn(bench: Workbench, sql: psycopg.Connection) -> UUID:
    """Have a second turn that Postgres, restored, knows nothing of any more."""
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    backup = PostgresBackup(sql, "alice")
    lost = bench.begin(session_id, "second")
    await bench.execute(lost, logged=True)
    backup.restore(sql)
    return session_id


async def test_the_next_turn_is_told_nothing_of_a_lost_one(
    make: NewBench, log: EventLog, sql: psycopg.Connection
) -> None:
    bench = make(say("one"), say("the lost reply"), say("two"), say("three"))
    session_id = await lose_a_turn(bench, sql)

    turn = bench.begin(session_id, "another")
    view = await bench.execute(turn, logged=True)
    await bench.send(session_id, "and on")

    assert turn.number == 2
    assert (view.turn.status, view.reply.content) == ("completed", "two")
    events = told(bench, log, turn)
    assert [event.type for event in events][-2:] == ["message.completed", "turn.completed"]
    assert "lost" not in str(events)
    assert "lost" not in shown(bench.model.asked[-1])
    assert "two" in shown(bench.model.asked[-1])


async def test_a_turn_in_the_place_of_a_lost_one_can_crash_and_be_resumed(
    make: NewBench, log: EventLog, sql: psycopg.Connection, expire: Expire
) -> None:
    bench = make(say("one"), say("the lost reply"), say("two"))
    session_id = await lose_a_turn(bench, sql)
    turn = bench.begin(session_id, "another", key="k")
    expire(turn.id)

    sent = await bench.send(session_id, "another", key="k")

    assert sent.view.reply is not None
    assert (sent.view.turn.attempt, sent.view.reply.content) == (2, "two")
    assert "lost" not in str(told(bench, log, turn))


async def test_a_turn_in_the_place_of_a_lost_one_can_be_cancelled(
    make: NewBench, log: EventLog, sql: psycopg.Connection
) -> None:
    bench = make(say("one"), say("the lost reply"))
    session_id = await lose_a_turn(bench, sql)
    turn = bench.begin(session_id, "another")

    cancelled = await bench.cancel(turn)

    assert cancelled.outcome == "cancelled"
    assert cancelled.view.reply is None
    assert told(bench, log, turn)[-1].type == "turn.cancelled"


async def test_a_process_of_a_lost_turn_that_writes_late_is_in_nobodys_way(
    make: NewBench, sql: psycopg.Connection
) -> None:
    bench = make(say("one"), say("two"), say("three"))
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    backup = PostgresBackup(sql, "alice")
    lost = bench.begin(session_id, "second")
    backup.restore(sql)
    turn = bench.begin(session_id, "another")
    key = conversation_key("alice", session_id)
    bench.store.record(key, lost.key, 1, "0", {"output": [], "usage": {}})
    bench.store.finish(key, lost.key, 1, TurnMemory([{"role": "user", "content": "lost"}], "lost"))

    view = await bench.execute(turn)
    await bench.send(session_id, "and on")

    assert view.reply.content == "two"
    assert "lost" not in shown(bench.model.asked[-1])


async def test_a_turn_that_had_ended_since_ends_again_with_its_own_reply(
    make: NewBench, log: EventLog, sql: psycopg.Connection, expire: Expire
) -> None:
    """Its log tells an end: without a look at Postgres every worker took itself for replaced."""
    bench = make(say("one"))
    turn = bench.begin(bench.new_session(), "first", key="k")
    expire(turn.id)
    backup = PostgresBackup(sql, "alice")
    await bench.send(turn.session_id, "first", key="k")
    before = told(bench, log, turn)
    backup.restore(sql)

    sent = await bench.send(turn.session_id, "first", key="k")

    assert sent.view.reply is not None
    assert sent.view.reply.content == "one"
    events = told(bench, log, turn)
    assert events[-1].data["reply_id"] == str(sent.view.reply.id) != before[-1].data["reply_id"]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


async def test_a_turn_that_had_ended_since_can_be_cancelled_and_its_log_says_so(
    make: NewBench, log: EventLog, sql: psycopg.Connection
) -> None:
    bench = make(call("add_task", title="milk"), say("Added."))
    turn = bench.begin(bench.new_session(), "add milk", key="k")
    backup = PostgresBackup(sql, "alice")
    await bench.execute(turn, logged=True)
    backup.restore(sql)

    cancelled = await bench.cancel(turn)

    assert cancelled.outcome == "cancelled"
    assert titles(sql) == []
    events = told(bench, log, turn)
    assert [event.type for event in events if event.type.startswith("turn.")][-1] == (
        "turn.cancelled"
    )
    assert "Added." not in str(events)


async def test_a_reply_that_tells_of_effects_that_are_gone_is_not_given(
    make: NewBench, sql: psycopg.Connection, expire: Expire
) -> None:
    bench = make(call("add_task", title="milk"), say("Added."))
    turn = bench.begin(bench.new_session(), "add milk", key="k")
    expire(turn.id)
    backup = PostgresBackup(sql, "alice")
    await bench.send(turn.session_id, "add milk", key="k")
    backup.restore(sql)

    with pytest.raises(TurnFailed) as failed:
        await bench.send(turn.session_id, "add milk", key="k")

    assert failed.value.code == "database_restored"
    assert titles(sql) == []


async def test_records_are_replayed_and_effects_that_are_gone_happen_again(
    make: NewBench, sql: psycopg.Connection, expire: Expire, each_store: AgentSessionStore
) -> None:
    bench = make(call("add_task", title="milk"), say("Added."), say("Added."))
    turn = bench.begin(bench.new_session(), "add milk", key="k")
    backup = PostgresBackup(sql, "alice")
    bench.watched.before["finish"] = unavailable
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn)
    del bench.watched.before["finish"]
    assert titles(sql) == ["milk"]
    backup.restore(sql)
    expire(turn.id)

    sent = await bench.send(turn.session_id, "add milk", key="k")

    assert sent.view.reply is not None
    assert sent.view.reply.content == "Added."
    assert titles(sql) == ["milk"]
    assert len(bench.model.asked) == 3  # the reply was on its way to memory, and is asked for again


async def test_a_store_that_knows_of_later_attempts_is_caught_up_with_at_once(
    make: NewBench, sql: psycopg.Connection, expire: Expire
) -> None:
    bench = make(say("one"))
    turn = bench.begin(bench.new_session(), "first", key="k")
    expire(turn.id)
    backup = PostgresBackup(sql, "alice")
    bench.store.claim(conversation_key("alice", turn.session_id), turn.key, 5)
    backup.restore(sql)

    sent = await bench.send(turn.session_id, "first", key="k")  # without waiting for leases

    assert sent.view.reply is not None
    assert (sent.view.turn.attempt, sent.view.reply.content) == (5, "one")


async def test_a_store_restored_to_an_earlier_moment_is_made_up_for_from_the_transcript(
    make: NewBench,
) -> None:
    bench = make(say("one"), say("two"), say("three"))
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    await bench.send(session_id, "second")
    key = conversation_key("alice", session_id)
    (newest, _) = bench.store.read_newest(key, None)
    bench.store.forget(key)
    bench.store.claim(key, newest.turn, 1)  # as it was in the middle of the turn

    await bench.send(session_id, "third")

    assert all(text in shown(bench.model.asked[-1]) for text in ("first", "one", "second", "two"))
