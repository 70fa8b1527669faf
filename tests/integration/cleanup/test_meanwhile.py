"""What becomes active after it was found is left alone, and nobody is disturbed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest

from parley.cleanup import expired_sessions
from parley.cleanup.cleaner import Cleaner
from parley.cleanup.report import Counted
from parley.cleanup.retention import CleanupRequest
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.expired_sessions import find_expired
from parley_testing.models.scripted import in_order, say
from parley_testing.postgres.databases import name_of
from parley_testing.stores.aged import Aged
from parley_testing.workbench import Workbench

CLOSED, ACTIVE = {"days": 31, "status": "ended"}, {"days": 8, "status": "active"}


@pytest.fixture
def store(sqlite_store: SqliteStore) -> AgentSessionStore:
    return sqlite_store


@pytest.fixture
def clean(cleaner: Cleaner) -> Callable[[], Any]:
    return lambda: cleaner.clean(CleanupRequest(), left=lambda: 60.0)


def reopen(aged: Aged, session_id: UUID) -> None:
    aged.sql.execute("UPDATE sessions SET status = 'active' WHERE id = %s", (session_id,))


def new_turn(aged: Aged, session_id: UUID) -> None:
    reopen(aged, session_id)
    aged.begin(session_id)


def turn_over(aged: Aged, session_id: UUID) -> None:
    reopen(aged, session_id)
    aged.say(session_id, "over already")
    aged.sql.execute("UPDATE sessions SET status = 'ended' WHERE id = %s", (session_id,))


@pytest.mark.parametrize(
    ("kind", "made", "happens"),
    [
        ("closed_sessions", {"turns": 1, **CLOSED}, reopen),
        ("closed_sessions", {"turns": 1, **CLOSED}, new_turn),
        ("closed_sessions", {"turns": 1, **CLOSED}, turn_over),
        ("empty_sessions", {"turns": 0, **ACTIVE}, new_turn),
    ],
)
def test_what_changed_after_it_was_found_stays_as_it_is(
    aged: Aged,
    clean: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    made: dict[str, Any],
    happens: Callable[[Aged, UUID], None],
) -> None:
    session_id, other = aged.session(**made), aged.session(**made)
    then: dict[str, Any] = {}

    def meanwhile(*_: Any) -> None:
        happens(aged, session_id)
        then["memory"] = {k: v for k, v in aged.memory().items() if str(session_id) in k}

    after_finding(monkeypatch, kind, meanwhile)

    report = clean()

    assert report.kinds[kind].found == 1, "the other one"
    assert not report.failures
    assert session_id in aged.sessions()
    if happens is not reopen:  # which is no activity: what it remembers is due, as any other's
        left = {k: v for k, v in aged.memory().items() if str(session_id) in k}
        assert left == then["memory"]
    assert other not in aged.sessions()
    assert other not in aged.remembered()
    assert "memory_deletions" not in aged.counts()


def after_finding(monkeypatch: pytest.MonkeyPatch, kind: str, action: Callable[[], object]) -> None:
    """Do something when sessions of a kind were found, and before they are taken."""
    find = find_expired
    waiting = [action]

    def found(database: Any, asked: str, *rest: Any, **named: Any) -> Any:
        expired = find(database, cast("Any", asked), *rest, **named)
        if asked == kind and waiting:
            waiting.pop()()
        return expired

    monkeypatch.setattr(expired_sessions, "find_expired", found)


@pytest.mark.parametrize("made", [{"turns": 1, **CLOSED}, {"turns": 0, **ACTIVE}])
def test_what_somebody_holds_is_not_waited_for(
    aged: Aged, clean: Callable[[], Any], sql: psycopg.Connection, made: dict[str, Any]
) -> None:
    held, free = aged.session(**made), aged.session(**made)
    with psycopg.connect(sql.info.dsn, dbname=name_of(sql)) as other:
        other.execute("SELECT FROM sessions WHERE id = %s FOR NO KEY UPDATE", (held,))
        before = aged.rows()["turns"], held in aged.remembered()

        report = clean()

        assert not report.failures, "waiting, it would run into the statement's time-out"
        assert sum(counted.found for counted in report.kinds.values()) == 1
        assert held in aged.sessions()
        assert (held in aged.remembered()) == before[1]
        other.rollback()

    assert sum(counted.found for counted in clean().kinds.values()) == 1, "it is due still"
    assert aged.remembered() == set()
    assert free not in aged.remembered()


def test_two_cleanups_at_once_share_the_work(aged: Aged, new_cleaner: Callable[..., Any]) -> None:
    made = [aged.session(days=31, status="ended") for _ in range(30)]
    made += [aged.session(days=8, turns=0) for _ in range(30)]
    both, reports, start = [new_cleaner(), new_cleaner()], [], threading.Barrier(2)

    def run(cleaner: Cleaner) -> None:
        start.wait()
        reports.append(cleaner.clean(CleanupRequest(), left=lambda: 60.0))

    threads = [threading.Thread(target=run, args=(cleaner,)) for cleaner in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for kind in ("closed_sessions", "empty_sessions"):
        together = sum((report.kinds[kind] for report in reports), Counted())
        assert together.found == 30
        assert together.failures == 0
    assert aged.sessions() == set()
    assert aged.remembered() == set()
    assert "memory_deletions" not in aged.counts()


@pytest.mark.parametrize("older_than", [0, 3600])
async def test_a_turn_that_runs_beside_a_cleanup_is_not_disturbed(
    aged: Aged,
    database: Database,
    store: AgentSessionStore,
    new_cleaner: Callable[..., Any],
    older_than: int,
) -> None:
    cleaner = new_cleaner()

    def cleaned() -> Any:
        request = CleanupRequest(older_than_seconds=older_than)
        cleaner.clean(request, left=lambda: 60.0)
        return say("two")

    bench = Workbench(database, store, in_order(say("one"), cleaned, say("three")))
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    aged.session(days=31, status="ended")

    sent = await bench.send(session_id, "second")
    await bench.send(session_id, "third")

    assert sent.view.turn.attempt == 1
    shown = [item["content"] for item in bench.model.asked[-1].input]
    assert shown == ["first", "one", "second", "two", "third"]
    assert aged.sessions() == {session_id}
