"""Sessions that were ended long ago go whole, as do those in which nobody ever said anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from parley.cleanup.report import Counted
from parley.ids import conversation_key
from parley.repository.approvals import Asked
from parley_testing.stores.aged import Aged
from parley_testing.stores.asking import asking

Clean = Callable[..., Any]


@pytest.mark.parametrize("status", ["ended", "escalated"])
def test_a_session_that_is_not_active_goes_with_all_that_is_its(
    aged: Aged, clean: Clean, sql: psycopg.Connection, status: str
) -> None:
    session_id = aged.session(days=31, turns=2, status=status)
    sql.execute(
        "INSERT INTO tool_calls (turn_id, call_id, name, arguments, output, effect)"
        " SELECT id, 'call', 'add_task', '{}', '{}', true FROM turns WHERE number = 1"
    )
    held = aged.store.weigh(conversation_key("alice", session_id))

    report = clean()

    rows = 1 + 2 + 4 + 1  # the session, its turns, messages and tool call
    assert report.kinds["closed_sessions"] == Counted(1, rows, items=2, bytes=held.bytes)
    assert (aged.counts(), aged.memory()) == ({}, {})
    assert report.kinds["memory"].found == report.kinds["orphaned_memory"].found == 0


def test_active_sessions_of_the_same_age_stay(aged: Aged, clean: Clean) -> None:
    kept = {aged.session(days=31), aged.session(days=29, status="ended")}
    aged.session(days=31, status="ended")

    clean()

    assert aged.sessions() == kept


def test_empty_sessions_go_after_their_hours(aged: Aged, clean: Clean) -> None:
    aged.session(days=1.1, turns=0)
    kept = {aged.session(days=0.9, turns=0), aged.session(days=1.1, turns=1)}

    report = clean()

    assert aged.sessions() == kept
    assert report.kinds["empty_sessions"] == Counted(found=1, rows=1)
    assert "memory_deletions" not in aged.counts()


@pytest.mark.parametrize("asked", [{}, {"older_than_seconds": 0}, {"dry_run": True}])
def test_no_session_is_counted_twice(aged: Aged, clean: Clean, asked: dict[str, Any]) -> None:
    for status in ("active", "ended", "escalated"):
        for turns in (0, 1):
            aged.session(days=40, turns=turns, status=status)

    kinds = clean(**asked).kinds

    found = {kind: kinds[kind].found for kind in ("closed_sessions", "empty_sessions")}
    assert found == {"closed_sessions": 4, "empty_sessions": 1}


def test_keys_are_kept_for_their_day(aged: Aged, clean: Clean, sql: psycopg.Connection) -> None:
    session_id = aged.session(days=0, turns=0, key="session key")
    aged.say(session_id, "hello", key="new key")
    old = aged.say(session_id, "hello", key="old key")
    sql.execute(
        "UPDATE turns SET created_at = now() - interval '25 hours' WHERE id = %s", (old.id,)
    )
    sql.execute("UPDATE sessions SET status = 'ended'")
    aged.age(session_id, 31)

    clean()

    kept = sql.execute(
        "SELECT kind, idempotency_key, expires_at - now() > interval '23 hours'"
        " FROM idempotency_tombstones ORDER BY kind"
    )
    assert kept.fetchall() == [("session", "session key", True), ("turn", "new key", True)]


def test_memory_of_what_was_used_a_moment_ago_is_removed_once_more(
    aged: Aged, clean: Clean, sql: psycopg.Connection
) -> None:
    """A process may still be writing there; after half an hour none is."""
    for days in (0.0, 0.03):
        aged.session(days=days, status="ended")

    clean(older_than_seconds=0)

    assert aged.memory() == {}
    waits = sql.execute("SELECT not_before > now() + interval '15 minutes' FROM memory_deletions")
    assert waits.fetchall() == [(True,)]


@pytest.mark.parametrize("asks", [False, True])
def test_a_session_with_an_open_turn_stays(aged: Aged, clean: Clean, asks: bool) -> None:
    session_id = aged.session(days=0)
    if asks:
        asking(aged.database, str(session_id), Asked("call_1", "todo", "refund", "{}"))
    else:
        aged.begin(session_id)
    aged.sql.execute("UPDATE sessions SET status = 'ended'")
    aged.age(session_id, 400)

    assert clean().kinds["closed_sessions"].found == 0

    assert (aged.sessions(), aged.remembered()) == ({session_id}, {session_id})


def test_what_is_not_a_sessions_stays(aged: Aged, clean: Clean, sql: psycopg.Connection) -> None:
    sql.execute(
        "INSERT INTO tasks (id, user_id, title, created_at)"
        " VALUES (gen_random_uuid(), 'alice', 'milk', now() - interval '400 days')"
    )
    aged.session(days=31, status="ended")

    clean()

    assert aged.counts() == {"tasks": 1}
