"""What deleted sessions left in memory is removed once more, after the last late writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.cleanup.outbox import Outbox
from parley.errors import StoreUnavailable
from parley.ids import conversation_key
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory
from parley.repository.database import Database
from parley_testing.api.handlers import Api
from parley_testing.stores.turn_keys import numbered
from parley_testing.stores.user_data import memory_of

Recover = Callable[..., dict[str, Any]]
LATE = TurnMemory([{"role": "user", "content": "too late"}], reply="", usage={})


def deleted_session(api: Api) -> str:
    """Talk in a session, delete it, and give its conversation key."""
    session_id = api.new_session()
    assert api("POST", f"/sessions/{session_id}/messages", {"text": "add milk"}).status == 201
    assert api("DELETE", f"/sessions/{session_id}").status == 204
    return conversation_key("alice", UUID(session_id))


def outbox(sql: psycopg.Connection) -> list[str]:
    return [row[0] for row in sql.execute("SELECT conversation FROM memory_deletions").fetchall()]


def make_due(sql: psycopg.Connection) -> None:
    sql.execute("UPDATE memory_deletions SET not_before = now() - interval '1 second'")


def test_it_waits_for_the_longest_invocation_that_there_can_be(
    recover: Recover, api: Api, sql: psycopg.Connection
) -> None:
    conversation = deleted_session(api)

    report = recover()

    assert (report["conversations"], report["done"]) == (0, True)
    assert outbox(sql) == [conversation]
    waits = sql.execute("SELECT not_before > now() + interval '900 s' FROM memory_deletions")
    assert waits.fetchone() == (True,)


def test_in_the_end_nothing_is_left_in_any_store(
    recover: Recover, api: Api, sql: psycopg.Connection, tmp_path: Path
) -> None:
    deleted_session(api)
    make_due(sql)

    report = recover()

    assert (report["conversations"], report["done"]) == (1, True)
    assert outbox(sql) == []
    assert not any(memory_of(tmp_path / "memory.db", "alice").values())
    assert recover()["conversations"] == 0


def test_what_a_late_writer_left_goes_too(
    recover: Recover, api: Api, sql: psycopg.Connection, memory: SqliteStore, tmp_path: Path
) -> None:
    conversation = deleted_session(api)
    memory.finish(conversation, numbered(1), 1, LATE)
    recover()
    assert memory_of(tmp_path / "memory.db", "alice")["turns"], "it is not due yet"
    make_due(sql)

    recover()

    assert not any(memory_of(tmp_path / "memory.db", "alice").values())


def test_other_conversations_stay(
    recover: Recover, api: Api, sql: psycopg.Connection, tmp_path: Path
) -> None:
    session_id = api.new_session()
    api("POST", f"/sessions/{session_id}/messages", {"text": "add bread"})
    before = memory_of(tmp_path / "memory.db", "alice")
    deleted_session(api)
    make_due(sql)

    recover()

    assert memory_of(tmp_path / "memory.db", "alice") == before


def test_it_is_drained_batch_by_batch(
    recover: Recover,
    cleanup: Any,
    api: Api,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cleanup, "BATCH", 2)
    for _ in range(5):
        deleted_session(api)
    make_due(sql)

    report = recover()

    assert (report["conversations"], report["done"]) == (5, True)
    assert outbox(sql) == []


def test_without_time_it_says_that_it_is_not_done(
    recover: Recover, api: Api, sql: psycopg.Connection
) -> None:
    conversation = deleted_session(api)
    make_due(sql)

    report = recover(seconds=1)

    assert (report["conversations"], report["done"]) == (0, False)
    assert outbox(sql) == [conversation]


def test_what_a_store_that_is_down_could_not_forget_stays_due(
    recover: Recover,
    api: Api,
    sql: psycopg.Connection,
    memory: SqliteStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*_: Any) -> None:
        raise StoreUnavailable("agent-session store", "down")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "forget", down)
        conversation = deleted_session(api)
        make_due(sql)
        with pytest.raises(StoreUnavailable):
            recover()
    assert outbox(sql) == [conversation]
    assert memory_of(tmp_path / "memory.db", "alice")["turns"]

    assert recover()["conversations"] == 1

    assert outbox(sql) == []
    assert not any(memory_of(tmp_path / "memory.db", "alice").values())


def test_what_was_noted_anew_while_it_was_drained_stays(
    database: Database,
    api: Api,
    sql: psycopg.Connection,
    memory: SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conversation = deleted_session(api)
    make_due(sql)

    def noted_anew(*_: Any) -> None:
        sql.execute("UPDATE memory_deletions SET not_before = now() + interval '1 hour'")

    monkeypatch.setattr(SqliteStore, "forget", noted_anew)

    Outbox(database, memory).drain(10)

    assert outbox(sql) == [conversation]
