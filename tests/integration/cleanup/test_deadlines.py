"""A cleanup stops before its time is up, and whoever goes on finishes all that there was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from parley.cleanup import expired_keys, expired_memory, expired_sessions, old_records, sweep
from parley.cleanup.cleaner import Cleaner
from parley.cleanup.report import Counted
from parley.ids import conversation_key, new_id
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory
from parley.repository.expired_sessions import Scope
from parley.repository.progress import read_progress
from parley_testing.stores.aged import Aged
from parley_testing.stores.turn_keys import numbered

Clean = Callable[..., Any]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expired_sessions, "SESSIONS_A_PAGE", 2)
    monkeypatch.setattr(expired_memory, "TURNS_A_PAGE", 2)
    monkeypatch.setattr(expired_keys, "KEYS_A_PAGE", 2)
    monkeypatch.setattr(old_records, "RECORDS_A_PAGE", 2)
    monkeypatch.setattr(sweep, "CONVERSATIONS_A_PAGE", 3)


@pytest.fixture
def expired(aged: Aged, sql: psycopg.Connection) -> dict[str, int]:
    """Several pages of every kind; gives how many."""
    for _ in range(5):
        aged.session(days=31, status="ended")
        aged.session(days=9, memory_days=9)
    for _ in range(3):
        aged.session(days=2, turns=0)
    for _ in range(4):
        gone = conversation_key("alice", new_id())
        aged.store.finish(
            gone, numbered(1), 1, TurnMemory([{"role": "user", "content": "nobody's"}])
        )
    aged.session(days=0, turns=2)
    sql.execute(
        "INSERT INTO idempotency_tombstones"
        " SELECT 'alice', 'turn', n::text, '', now() - interval '1 hour'"
        " FROM generate_series(1, 5) n"
    )
    sql.execute(
        "INSERT INTO audit_records (id, begun_at, administrator, action, outcome, request_id)"
        " SELECT gen_random_uuid(), now() - interval '366 days', 'root', 'GET /', 'done', ''"
        " FROM generate_series(1, 5)"
    )
    return {
        "closed_sessions": 5,
        "empty_sessions": 3,
        "memory": 5 if isinstance(aged.store, SqliteStore) else 0,
        "keys": 5,
        "audit_records": 5,
        "orphaned_memory": 4,
    }


@pytest.mark.parametrize("pages", [1, 4])
def test_stopped_again_and_again_it_is_whole_in_the_end(
    aged: Aged, clean: Clean, expired: dict[str, int], pages: int
) -> None:
    would = clean(dry_run=True).kinds
    reports = [clean(pages=pages)]

    while not reports[-1].done:
        reports.append(clean(pages=pages, cursor=reports[-1].next_cursor))

    assert len(reports) > 3
    together = {kind: sum((report.kinds[kind] for report in reports), Counted()) for kind in would}
    assert together == would, "each report counts what its own run did"
    assert {kind: counted.found for kind, counted in together.items()} == expired
    assert aged.counts() == {"sessions": 6, "turns": 7, "messages": 14}
    assert len(aged.remembered()) == 1
    assert len(aged.memory()) == (1 if expired["memory"] else 1 + 5)


def test_stopped_in_the_middle_the_stores_are_in_step(
    aged: Aged, clean: Clean, expired: dict[str, int]
) -> None:
    report = clean(pages=2)

    assert not report.done
    assert report.kinds["closed_sessions"].found == 4
    assert "memory_deletions" not in aged.counts()
    assert aged.counts()["sessions"] == 10
    assert len(aged.memory()) == 5 - 4 + 5 + 4 + 1


def test_a_stopped_dry_run_adds_up_as_well(clean: Clean, expired: dict[str, int]) -> None:
    would, cursor, done = clean(dry_run=True), None, False
    found = dict.fromkeys(expired, 0)
    sessions = []

    while not done:
        report = clean(dry_run=True, pages=1, cursor=cursor)
        for kind, counted in report.kinds.items():
            found[kind] += counted.found
        sessions += report.sessions
        cursor, done = report.next_cursor, report.done

    assert found == expired
    assert sessions == would.sessions


def test_what_is_noted_counts_all_runs_so_far(
    clean: Clean, cleaner: Cleaner, expired: dict[str, int]
) -> None:
    first = clean(pages=2)
    begun = read_progress(cleaner.database, "retention")
    assert begun is not None
    assert (begun.cursor, begun.ended_at) == (first.next_cursor, None)
    clean(pages=5, cursor=first.next_cursor)
    report = cleaner.go_on(left=lambda: 60.0)

    progress = read_progress(cleaner.database, "retention")
    assert report is not None
    assert progress is not None
    assert progress.report is not None
    assert (report.done, progress.cursor, progress.report["done"]) == (True, None, True)
    assert progress.ended_at is not None
    assert progress.started_at == begun.started_at
    noted = progress.report["kinds"]
    assert {kind: counted["found"] for kind, counted in noted.items()} == expired
    assert "sessions" not in progress.report
    assert cleaner.go_on(left=lambda: 60.0) is None


def test_a_run_for_some_sessions_or_another_age_is_not_noted(
    clean: Clean, cleaner: Cleaner, expired: dict[str, int]
) -> None:
    clean(pages=2)
    before = read_progress(cleaner.database, "retention")

    clean(Scope(user_id="alice"), pages=1)
    clean(older_than_seconds=0, pages=1)
    clean(dry_run=True)

    assert read_progress(cleaner.database, "retention") == before


def test_without_any_time_nothing_is_done(
    aged: Aged, clean: Clean, expired: dict[str, int]
) -> None:
    before = aged.counts(), aged.memory()

    report = clean(pages=0)

    assert (report.done, set(report.kinds.values())) == (False, {Counted()})
    assert (aged.counts(), aged.memory()) == before
