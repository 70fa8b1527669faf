"""A dry run says exactly what would go, and removes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.cleanup import expired_sessions, retention
from parley.cleanup.report import Counted
from parley.ids import conversation_key, new_id
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory
from parley_testing.stores.aged import Aged
from parley_testing.stores.turn_keys import numbered

Clean = Callable[..., Any]


@pytest.fixture
def all_kinds(aged: Aged, sql: psycopg.Connection) -> dict[str, UUID]:
    """Something of every kind that is due, and something of most that is not."""
    made = {
        "closed_sessions": aged.session(days=31, turns=3, status="ended"),
        "empty_sessions": aged.session(days=2, turns=0, name="empty"),
        "in use": aged.session(days=1),
        "expired": aged.session(days=9, memory_days=9, turns=2, user="bob", name="old"),
    }
    gone = conversation_key("alice", new_id())
    aged.store.finish(gone, numbered(1), 1, TurnMemory([{"role": "user", "content": "nobody's"}]))
    aged.store.record(gone, numbered(2), 1, "0", {"output": []})
    sql.execute(
        "INSERT INTO idempotency_tombstones"
        " SELECT 'alice', 'turn', 'key ' || n, '', now() + n * interval '1 hour'"
        " FROM generate_series(-2, 2) n"
    )
    return made


def test_it_is_what_the_real_run_then_does(
    aged: Aged, clean: Clean, all_kinds: dict[str, UUID]
) -> None:
    would = clean(dry_run=True)

    did = clean()

    assert would.kinds == did.kinds
    found = {kind: (counted.found, counted.items) for kind, counted in would.kinds.items()}
    assert found == {
        "closed_sessions": (1, 3),
        "empty_sessions": (1, 0),
        "memory": (2, 2) if isinstance(aged.store, SqliteStore) else (0, 0),
        "keys": (3, 0),
        "audit_records": (0, 0),
        "orphaned_memory": (1, 2),
    }
    assert all(would.kinds[kind].bytes > 0 for kind, (_, items) in found.items() if items)
    assert (would.dry_run, did.dry_run) == (True, False)
    assert clean(dry_run=True).kinds.keys() == would.kinds.keys()
    assert set(clean(dry_run=True).kinds.values()) == {Counted()}


def test_it_changes_nothing_in_either_store(
    aged: Aged, clean: Clean, all_kinds: dict[str, UUID]
) -> None:
    before = aged.rows(), aged.memory()

    clean(dry_run=True)
    clean(dry_run=True, older_than_seconds=0, pages=2)

    assert (aged.rows(), aged.memory()) == before


def test_it_lists_the_sessions(aged: Aged, clean: Clean, all_kinds: dict[str, UUID]) -> None:
    listed = {listing.kind: listing for listing in clean(dry_run=True).sessions}

    assert {kind: listing.session_id for kind, listing in listed.items()} == {
        kind: all_kinds[kind] for kind in ("closed_sessions", "empty_sessions")
    }
    empty, closed = listed["empty_sessions"], listed["closed_sessions"]
    assert (empty.user_id, empty.name, empty.rows, empty.items) == ("alice", "empty", 1, 0)
    assert (closed.user_id, closed.name, closed.rows, closed.items) == ("alice", None, 10, 3)
    assert closed.bytes == aged.store.weigh(conversation_key("alice", closed.session_id)).bytes
    dates = aged.sql.execute(
        "SELECT last_activity_at FROM sessions WHERE id = %s", (closed.session_id,)
    )
    assert dates.fetchone() == (closed.last_activity_at,)


def test_a_real_run_lists_none(clean: Clean, all_kinds: dict[str, UUID]) -> None:
    assert clean().sessions == []


def test_it_goes_on_at_its_cursor(
    aged: Aged, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expired_sessions, "SESSIONS_A_PAGE", 2)
    monkeypatch.setattr(retention, "SESSIONS_LISTED", 3)
    made = [aged.session(days=40 - n, status="ended") for n in range(5)]
    made += [aged.session(days=20 - n, turns=0) for n in range(4)]
    listed: list[list[UUID]] = []
    cursor, done = None, False

    while not done:
        report = clean(dry_run=True, cursor=cursor)
        listed.append([listing.session_id for listing in report.sessions])
        cursor, done = report.next_cursor, report.done

    assert [len(page) for page in listed] == [4, 3, 2]
    assert [session_id for page in listed for session_id in page] == made, "longest unused first"
