"""The list of sessions, newest activity first, as of the moment its first page was read.

Sessions move while somebody pages: a message brings one to the front. Paged by its place alone
it would be skipped by who had not yet come to it. So the first page's time goes along in the
cursor, and later pages put each session where it stood then: one that has moved since is placed
by its turns before that moment, which are in the table. New sessions wait for the next listing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_, union_all
from sqlalchemy.dialects.postgresql import TIMESTAMP

from parley.repository.database import Database
from parley.repository.models import SessionRow, SessionStatus, TurnRow
from parley.repository.paging import Moment, Page, decode, encode, fitting
from parley.repository.scope import SERVICE, OfUser
from parley.repository.values import Session

_Listing = Select[SessionRow, datetime, datetime]
_TIME = TIMESTAMP(timezone=True)
_POSITION: TypeAdapter[tuple[Moment, Moment, UUID]] = TypeAdapter(tuple[Moment, Moment, UUID])


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions to list; None matches all."""

    status: SessionStatus | None = None
    agent: str | None = None
    name: str | None = None
    platform: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as conditions on the table."""
        wanted: dict[Any, str | None] = {
            SessionRow.status: self.status,
            SessionRow.agent: self.agent,
            SessionRow.name: self.name,
            SessionRow.platform: self.platform,
        }
        return [column == value for column, value in wanted.items() if value is not None]


def list_sessions(
    database: Database,
    user_id: str | None,
    matching: SessionFilter,
    *,
    limit: int,
    cursor: str | None,
) -> Page[Session]:
    """List sessions, newest activity first.

    Args:
        database: Where they are.
        user_id: Whose; None for everybody's (administration only).
        matching: Which of them.
        limit: At most so many, 1 to 100.
        cursor: Where the page starts, as the one before said.

    Raises:
        InvalidField: The cursor is not one of this list.
        StoreUnavailable: Postgres cannot serve now.
    """
    mine = [*matching.conditions()]
    if user_id is not None:
        mine.append(SessionRow.user_id == user_id)
    query = _first_page(mine) if cursor is None else _later_page(mine, cursor, limit)
    scope = SERVICE if user_id is None else OfUser(user_id)
    rows = database.read(scope, lambda session: session.execute(query.limit(limit + 1)).all())
    kept = fitting(rows, limit, lambda row: _texts(row[0]))
    page = [Session.of(row[0]) for row in rows[:kept]]
    if len(rows) <= kept:
        return Page(page, None)
    last = rows[kept - 1]
    return Page(page, encode([last.as_of, last.place, last[0].id]))


def _texts(row: SessionRow) -> list[object]:
    return [row.name, row.status_reason, row.user_id, row.session_metadata]


def _first_page(mine: list[ColumnElement[bool]]) -> _Listing:
    return (
        select(
            SessionRow,
            SessionRow.last_activity_at.label("place"),
            func.now().label("as_of"),
        )
        .where(*mine)
        .order_by(SessionRow.last_activity_at.desc(), SessionRow.id.desc())
    )


def _later_page(mine: list[ColumnElement[bool]], cursor: str, limit: int) -> _Listing:
    moment, activity, last_id = decode(cursor, _POSITION)
    as_of = literal(moment, _TIME)
    after = tuple_(literal(activity, _TIME), literal(last_id))
    unmoved = (
        select(SessionRow.id, SessionRow.last_activity_at.label("place"))
        .where(*mine, SessionRow.last_activity_at <= as_of)
        .where(tuple_(SessionRow.last_activity_at, SessionRow.id) < after)
        .order_by(SessionRow.last_activity_at.desc(), SessionRow.id.desc())
        .limit(limit + 1)
    )
    was = (
        select(SessionRow.id, _activity_at(as_of).label("place"))
        .where(*mine, SessionRow.last_activity_at > as_of, SessionRow.created_at <= as_of)
        .subquery()
    )
    moved = select(was.c.id, was.c.place).where(tuple_(was.c.place, was.c.id) < after)
    placed = union_all(unmoved, moved).subquery()
    return (
        select(SessionRow, placed.c.place, as_of.label("as_of"))
        .join(placed, SessionRow.id == placed.c.id)
        .order_by(placed.c.place.desc(), SessionRow.id.desc())
    )


def _activity_at(moment: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """Tell when the session had last been active at a moment: only turns are activity."""
    begun = func.max(TurnRow.created_at).filter(TurnRow.created_at <= moment)
    ended = func.max(TurnRow.ended_at).filter(TurnRow.ended_at <= moment)
    turns = (
        select(func.greatest(begun, ended))
        .where(TurnRow.session_id == SessionRow.id)
        .scalar_subquery()
    )
    return func.greatest(SessionRow.created_at, turns)  # ignores NULL: a session without turns
