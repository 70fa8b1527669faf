"""What a cleanup asks of Postgres and of the store grows with pages and rows, not with sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from parley.cleanup.cleaner import Cleaner
from parley.cleanup.retention import CleanupRequest
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository import deletion
from parley.repository.database import Database
from parley.repository.deletion import by_rows
from parley.repository.expired_sessions import ExpiredSession, Scope
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.stores.aged import Aged
from parley_testing.workbench import WatchedStore


@pytest.fixture
def store(sqlite_store: SqliteStore) -> AgentSessionStore:
    return sqlite_store


@pytest.fixture
def cleaner(wire: PostgresWire, new_cleaner: Callable[..., Cleaner]) -> Iterator[Cleaner]:
    database = Database(lambda: wire.url, statement_timeout=10)
    yield new_cleaner(database)
    database.close()


def round_trips(cleaner: Cleaner, wire: PostgresWire, *, dry_run: bool = False) -> int:
    wire.reset()
    request = CleanupRequest(dry_run=dry_run, scope=Scope(user_id="alice"))
    assert cleaner.clean(request, left=lambda: 60.0).done
    return wire.round_trips


@pytest.mark.parametrize("sessions", [1, 40])
def test_a_page_takes_as_many_statements_for_one_session_as_for_many(
    aged: Aged,
    cleaner: Cleaner,
    wire: PostgresWire,
    watched: WatchedStore,
    sessions: int,
) -> None:
    round_trips(cleaner, wire)  # connects
    finding = round_trips(cleaner, wire)
    assert finding == 2, "each kind is looked for"
    for _ in range(sessions):
        aged.session(days=31, status="ended")

    assert round_trips(cleaner, wire, dry_run=True) == finding
    watched.calls.clear()
    assert round_trips(cleaner, wire) == finding + 2
    assert len(watched.calls) == sessions


def test_a_statement_deletes_about_as_many_rows_as_it_may(
    aged: Aged, cleaner: Cleaner, wire: PostgresWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "ROWS_A_STATEMENT", 10)
    for turns in (1, 1, 5, 1, 1):  # 4, 4, 16, 4, 4 rows
        aged.session(days=31, turns=turns, status="ended")

    round_trips(cleaner, wire)

    assert sum("DELETE FROM sessions" in statement for statement in wire.statements) == 3
    assert aged.counts() == {}


@pytest.mark.parametrize(
    ("rows", "batches"),
    [
        ([], []),
        ([5000], [[5000]]),
        ([1000, 1000, 1], [[1000, 1000], [1]]),
        ([1, 5000, 1], [[1], [5000], [1]]),
        ([2000, 2000], [[2000], [2000]]),
    ],
)
def test_a_large_session_stands_alone(rows: list[int], batches: list[list[int]]) -> None:
    expired = [ExpiredSession(None, "alice", None, 1, None, count) for count in rows]  # type: ignore[arg-type]

    assert [[each.rows for each in batch] for batch in by_rows(expired)] == batches
