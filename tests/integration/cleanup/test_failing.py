"""One bad session does not stop the rest; a store that is down loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley import retry
from parley.cleanup import expired_sessions
from parley.cleanup.cleaner import Cleaner
from parley.cleanup.outbox import Outbox
from parley.cleanup.report import FAILURES_NAMED
from parley.cleanup.retention import CleanupRequest
from parley.errors import InvalidField, StoreUnavailable
from parley.repository.database import Database
from parley.repository.progress import read_progress
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.stores.aged import Aged
from parley_testing.workbench import WatchedStore

Clean = Callable[..., Any]
# Where it is Postgres that fails, one store is enough.
ON_SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
CLOSED: dict[str, Any] = {"days": 31, "status": "ended"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSES", (0.0,))


@pytest.fixture
def over_the_wire(wire: PostgresWire, new_cleaner: Callable[..., Cleaner]) -> Iterator[Cleaner]:
    """A cleaner whose statements can be kept from Postgres."""
    database = Database(lambda: wire.url, statement_timeout=10)
    yield new_cleaner(database)
    database.close()


def test_a_conversation_that_cannot_be_removed_is_left_to_the_outbox(
    aged: Aged, clean: Clean, watched: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    made, kind = [aged.session(**CLOSED) for _ in range(4)], "closed_sessions"
    bad = made[1]
    refuse_of(watched, "forget", bad, RuntimeError("a secret"))

    report = clean()

    counted = report.kinds[kind]
    assert (counted.found, counted.items, counted.failures) == (4, 3, 1)
    assert [(f.kind, f.subject, f.reason) for f in report.failures if f.kind == kind] == [
        (kind, str(bad), "RuntimeError")
    ]
    assert aged.counts()["memory_deletions"] == 1
    logged = str([vars(record) for record in caplog.records])
    assert str(bad) in logged
    assert "a secret" not in logged

    heal(watched)
    assert Outbox(aged.database, aged.store).drain(10) == 1
    assert aged.remembered() == set()
    assert "memory_deletions" not in aged.counts()


def refuse_of(watched: WatchedStore, method: str, session_id: UUID, error: Exception) -> None:
    """Have the store fail at one session's conversation."""
    store = watched._store
    act = getattr(store, method)

    def refusing(conversation: str, *rest: Any, **named: Any) -> Any:
        if str(session_id) in conversation:
            raise error
        return act(conversation, *rest, **named)

    watched.__dict__[method] = refusing


def heal(watched: WatchedStore) -> None:
    watched.__dict__.pop("forget", None)


def test_a_dry_run_tells_of_what_cannot_be_weighed(
    aged: Aged, clean: Clean, watched: WatchedStore
) -> None:
    bad, good = aged.session(**CLOSED), aged.session(**CLOSED)
    refuse_of(watched, "weigh", bad, RuntimeError())

    report = clean(dry_run=True)

    assert [failure.subject for failure in report.failures] == [str(bad)]
    assert [listing.session_id for listing in report.sessions] == [good]


@ON_SQLITE
def test_a_session_that_postgres_will_not_delete_stays_due(
    aged: Aged, clean: Clean, sql: psycopg.Connection
) -> None:
    bad, *_ = [aged.session(days=31, status="ended") for _ in range(3)]
    refuse_to_delete(sql, bad)

    report = clean()

    assert aged.sessions() == aged.remembered() == {bad}
    assert report.kinds["closed_sessions"].found == 2
    assert report.kinds["closed_sessions"].failures == 1
    assert [failure.subject for failure in report.failures] == [str(bad)]
    assert report.done
    assert "memory_deletions" not in aged.counts()

    sql.execute("DROP TRIGGER bad ON sessions")
    assert clean().kinds["closed_sessions"].found == 1
    assert (aged.counts(), aged.memory()) == ({}, {})


def refuse_to_delete(sql: psycopg.Connection, session_id: UUID, code: str = "P0001") -> None:
    sql.execute(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'no'; END$$"
    )
    sql.execute(
        f"CREATE TRIGGER bad BEFORE DELETE ON sessions FOR EACH ROW"
        f" WHEN (old.id = '{session_id}') EXECUTE FUNCTION refuse()"
    )


@ON_SQLITE
def test_a_session_too_large_for_a_statements_time_does_not_stop_the_rest(
    aged: Aged, clean: Clean, sql: psycopg.Connection
) -> None:
    bad, *_ = [aged.session(days=31, status="ended") for _ in range(3)]
    refuse_to_delete(sql, bad, "57014")

    report = clean()

    assert aged.sessions() == {bad}
    assert [failure.reason for failure in report.failures] == ["57014"]


@ON_SQLITE
def test_only_some_failures_are_named_and_all_counted(
    aged: Aged, clean: Clean, watched: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expired_sessions, "SESSIONS_A_PAGE", 12)
    for _ in range(FAILURES_NAMED + 5):
        aged.session(**CLOSED)

    def refuse() -> None:
        raise RuntimeError

    watched.before["forget"] = refuse

    report = clean()

    assert len(report.failures) == FAILURES_NAMED
    assert report.kinds["closed_sessions"].failures == FAILURES_NAMED + 5


def test_while_the_store_is_down_nothing_is_lost(
    aged: Aged, clean: Clean, watched: WatchedStore, cleaner: Cleaner
) -> None:
    for _ in range(3):
        aged.session(**CLOSED)

    def down() -> None:
        raise StoreUnavailable("agent-session store", "down")

    watched.before["forget"] = down

    with pytest.raises(StoreUnavailable):
        clean()

    assert len(aged.memory()) == aged.counts()["memory_deletions"] == 3
    progress = read_progress(cleaner.database, "retention")
    assert progress is not None
    assert progress.report == {"error": "agent-session store: down"}
    watched.before.clear()
    assert Outbox(aged.database, aged.store).drain(10) == 3
    clean()
    assert aged.memory() == {}
    assert "memory_deletions" not in aged.counts()


@ON_SQLITE
def test_while_postgres_is_down_it_says_so(
    aged: Aged, over_the_wire: Cleaner, wire: PostgresWire
) -> None:
    aged.session(**CLOSED)
    before = aged.rows(), aged.memory()
    wire.refuse()

    with pytest.raises(StoreUnavailable):
        over_the_wire.clean(CleanupRequest(), left=lambda: 60.0)

    assert (aged.rows(), aged.memory()) == before


@ON_SQLITE
def test_when_postgres_goes_down_after_finding_sessions_no_more_are_tried(
    aged: Aged, over_the_wire: Cleaner, wire: PostgresWire
) -> None:
    statement = "DELETE FROM sessions"
    for _ in range(5):
        aged.session(**CLOSED)
    wire.drop(statement, always=True)

    with pytest.raises(StoreUnavailable):
        over_the_wire.clean(CleanupRequest(), left=lambda: 60.0)

    tried = [seen for seen in wire.statements if statement in seen]
    assert len(tried) == 1 + len(retry.PAUSES)
    wire.restore()
    over_the_wire.clean(CleanupRequest(), left=lambda: 60.0)
    assert aged.sessions() == set()
    assert aged.memory() == {}


@ON_SQLITE
def test_a_lost_answer_loses_nothing(
    aged: Aged, over_the_wire: Cleaner, wire: PostgresWire
) -> None:
    """The repeated statement finds no session any more to delete: the outbox knows of it."""
    aged.session(**CLOSED)
    wire.lose_answer("DELETE FROM sessions")

    report = over_the_wire.clean(CleanupRequest(), left=lambda: 60.0)
    Outbox(aged.database, aged.store).drain(10)

    assert not report.failures
    assert aged.memory() == {}
    assert "memory_deletions" not in aged.counts()
    assert aged.sessions() == set()


@ON_SQLITE
def test_a_failed_run_is_gone_on_with_where_it_stood(
    aged: Aged, clean: Clean, cleaner: Cleaner, watched: WatchedStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(expired_sessions, "SESSIONS_A_PAGE", 2)
    for _ in range(6):
        aged.session(days=31, status="ended")
    first = clean(pages=1)

    def down() -> None:
        raise StoreUnavailable("agent-session store", "down")

    watched.before["forget"] = down
    with pytest.raises(StoreUnavailable):
        cleaner.go_on(left=lambda: 60.0)
    progress = read_progress(cleaner.database, "retention")
    assert progress is not None
    assert progress.report is not None
    assert (progress.cursor, progress.ended_at) == (first.next_cursor, None)
    assert progress.report["error"] == "agent-session store: down"
    watched.before.clear()

    report = cleaner.go_on(left=lambda: 60.0)

    assert report is not None
    assert report.kinds["closed_sessions"].found == 2
    noted = read_progress(cleaner.database, "retention")
    assert noted is not None
    assert noted.report is not None
    assert noted.report["kinds"]["closed_sessions"]["found"] == 4, "two went without a report"
    assert "error" not in noted.report


@ON_SQLITE
def test_a_run_that_failed_before_anything_was_noted_is_gone_on_with(
    aged: Aged, clean: Clean, cleaner: Cleaner, watched: WatchedStore
) -> None:
    """An administrator went on with an older cursor than the one that is noted."""
    cursor = clean(pages=0).next_cursor
    clean()
    for _ in range(2):
        aged.session(days=31, status="ended")

    def down() -> None:
        raise StoreUnavailable("agent-session store", "down")

    watched.before["forget"] = down
    with pytest.raises(StoreUnavailable):
        clean(cursor=cursor)
    watched.before.clear()
    aged.session(days=31, status="ended")

    report = cleaner.go_on(left=lambda: 60.0)

    assert report is not None
    assert report.kinds["closed_sessions"].found == 1


@ON_SQLITE
def test_a_wrong_cursor_is_not_noted(clean: Clean, cleaner: Cleaner) -> None:
    clean()
    before = read_progress(cleaner.database, "retention")

    with pytest.raises(InvalidField):
        clean(cursor="nonsense")

    after = read_progress(cleaner.database, "retention")
    assert before is not None
    assert after is not None
    assert (after.report, after.ended_at) == (before.report, before.ended_at)
    assert cleaner.go_on(left=lambda: 60.0) is None
