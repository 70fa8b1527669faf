"""Retention, on sessions that a schedule makes look old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Executable, Row

from parley.cleanup.retention import CleanupRequest, Retention
from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.expired_sessions import Ages
from parley.repository.scope import Scope
from parley.threads import between_points
from parley_testing.schedules.faults import NOTHING, Course, ProcessDied
from parley_testing.schedules.seen import SeenSession
from parley_testing.schedules.world import Process, World

DAYS = {"memory": 7, "closed": 30, "empty": 1}
_DAY = 86_400.0
_AGES = Ages(
    closed_sessions=DAYS["closed"] * _DAY,
    empty_sessions=DAYS["empty"] * _DAY,
)


def age(world: World, session_id: UUID, days: int) -> None:
    """Make a session look as if nobody had used it for so many days; its memory expires."""
    world.change(
        "UPDATE sessions SET last_activity_at = now() - make_interval(days => %s) WHERE id = %s",
        (days, session_id),
    )
    if days > DAYS["memory"]:
        world.expire_memory(session_id)


def clean_up(
    world: World, process: Process, *, course: Course = NOTHING, faulty: bool = False
) -> str:
    """Remove what is past its time, the sweep of the store included, and see what went.

    What is not due stays, whatever happens meanwhile; if nothing does, all that is due goes.

    Returns:
        A word for what came of it.
    """
    promises = world.promises
    sessions = promises.seen.sessions.values()
    listing = {session.id for session in sessions if _is_expired(session)}
    promises.gone |= listing
    world.change("DELETE FROM cleanup_progress")  # a sweep is due
    store = cast("AgentSessionStore", _PointedStore(process.failing))
    retention = Retention(_PointedDatabase(process.database), lambda: store, _AGES)
    try:
        report = retention.run(CleanupRequest(), left=lambda: 1.0)
    except ProcessDied:
        assert course.dead, "a process ended without having died"
        return "died"
    except StoreUnavailable:
        assert faulty, "no store had failed"
        return "unavailable"
    world.look()
    if faulty or course.thawed or course.dead:
        return "cleaned up in trouble"
    assert report.done, "not all was come to"
    assert not report.failures, f"{report.failures}"
    assert not listing & promises.seen.sessions.keys(), "a session was due and is there"
    left = process.expired()
    assert not left, f"memory of {left} turns has expired and is there"
    for session_id in promises.gone - promises.seen.sessions.keys():
        assert not world.everything_stored(session_id), "memory of no session was not swept up"
    return "cleaned up"


def _is_expired(session: SeenSession) -> bool:
    if session.open:
        return False
    closed = session.status != "active" and session.idle_days > DAYS["closed"]
    return closed or (not session.turns and session.idle_days > DAYS["empty"])


class _PointedDatabase(Database):
    """Passes a point before and after each statement, as a turn's thread does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(
        self, scope: Scope, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        return between_points(
            "a statement", lambda: self._database.run(scope, statement, parameters)
        )


class _PointedStore:
    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return lambda *given, **named: between_points(name, lambda: method(*given, **named))
