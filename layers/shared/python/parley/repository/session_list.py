"""The list of sessions, newest activity first, as of the moment its first page was read.

Sessions move while somebody pages: a message brings one to the front. Paged by its place alone
it would be skipped by who had not yet come to it. So the first page's time goes along in the
cursor, and later pages put each session where it stood then: one that has moved since is placed
by its turns before that moment, which are in the table. New sessions wait for the next listing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from parley.repository.database import Database
from parley.repository.paging import Moment, Page, decode, encode, fitting
from parley.repository.scope import SERVICE, OfUser
from parley.repository.states import SessionStatus
from parley.repository.tables import SESSIONS, TURNS, AnyQuery, AnyRow
from parley.repository.values import SESSION, Session

_Place = tuple[datetime, UUID]
_Position = tuple[datetime, datetime, UUID]
_TIME = TIMESTAMP(timezone=True)
LOOKED_AT = 1_000
"""How many sessions a page of everybody's looks through for those that are asked for."""

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
            SESSIONS.c.status: self.status,
            SESSIONS.c.agent: self.agent,
            SESSIONS.c.name: self.name,
            SESSIONS.c.platform: self.platform,
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

    Of everybody's, a page looks through `LOOKED_AT` sessions at most for an agent's, a platform's
    or those of a name, so it may have fewer than are asked for, or none, and others follow all the
    same.

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
        mine.append(SESSIONS.c.user_id == user_id)
    position = None if cursor is None else decode(cursor, _POSITION)
    # By status there is an index.
    looks_through = user_id is None and replace(matching, status=None) != SessionFilter()
    scope = SERVICE if user_id is None else OfUser(user_id)

    def read(connection: Connection) -> tuple[Sequence[AnyRow], Any]:
        if position is None and user_id is not None and matching == SessionFilter():
            return connection.execute(_OWN, {"user_id": user_id, "most": limit + 1}).all(), None
        last = connection.execute(_last_looked_at(position)).first() if looks_through else None
        looked = None if last is None else (last.place, last.id)
        query = _page(mine, position, looked, limit)
        return connection.execute(query.limit(limit + 1)).all(), last

    rows, last = database.read(scope, read)
    page = [Session.of(row) for row in rows[:limit]]
    kept = fitting(page, limit, _texts)
    del page[kept:]
    if len(rows) > kept:
        ended = rows[kept - 1]
        return Page(page, encode([ended.as_of, ended.place, ended.id]))
    return Page(page, None if last is None else encode([last.as_of, last.place, last.id]))


def _texts(session: Session) -> list[object]:
    return [session.name, session.status_reason, session.user_id, session.metadata]


def _page(
    mine: list[ColumnElement[bool]], position: _Position | None, looked: _Place | None, limit: int
) -> AnyQuery:
    if position is None:
        return _FIRST.where(*mine, *_up_to(looked, SESSIONS.c.last_activity_at, SESSIONS.c.id))
    return _later_page(mine, position, looked, limit)


def _last_looked_at(
    position: _Position | None,
) -> Select[UUID, datetime, datetime]:
    """Find the place at which a page stops looking, if there are so many."""
    as_of = func.now() if position is None else literal(position[0], _TIME)
    query = select(SESSIONS.c.id, SESSIONS.c.last_activity_at.label("place"), as_of.label("as_of"))
    if position is not None:
        query = query.where(
            SESSIONS.c.last_activity_at <= as_of,
            tuple_(SESSIONS.c.last_activity_at, SESSIONS.c.id) < _after(position),
        )
    return (
        query.order_by(SESSIONS.c.last_activity_at.desc(), SESSIONS.c.id.desc())
        .offset(LOOKED_AT - 1)
        .limit(1)
    )


def _up_to(looked: _Place | None, place: Any, session_id: Any) -> list[ColumnElement[bool]]:
    if looked is None:
        return []
    return [tuple_(place, session_id) >= tuple_(literal(looked[0], _TIME), literal(looked[1]))]


def _after(position: _Position) -> Any:
    return tuple_(literal(position[1], _TIME), literal(position[2]))


# Most listings are of one page, of which this is what never changes.
_FIRST: AnyQuery = select(
    *SESSION, SESSIONS.c.last_activity_at.label("place"), func.now().label("as_of")
).order_by(SESSIONS.c.last_activity_at.desc(), SESSIONS.c.id.desc())

# And most are of all that a user has.
_OWN: AnyQuery = _FIRST.where(SESSIONS.c.user_id == bindparam("user_id")).limit(
    bindparam("most", type_=Integer)
)


def _later_page(
    mine: list[ColumnElement[bool]], position: _Position, looked: _Place | None, limit: int
) -> AnyQuery:
    as_of = literal(position[0], _TIME)
    after = _after(position)
    unmoved = (
        select(SESSIONS.c.id, SESSIONS.c.last_activity_at.label("place"))
        .where(*mine, SESSIONS.c.last_activity_at <= as_of)
        .where(tuple_(SESSIONS.c.last_activity_at, SESSIONS.c.id) < after)
        .where(*_up_to(looked, SESSIONS.c.last_activity_at, SESSIONS.c.id))
        .order_by(SESSIONS.c.last_activity_at.desc(), SESSIONS.c.id.desc())
        .limit(limit + 1)
    )
    was = (
        select(SESSIONS.c.id, _activity_at(as_of).label("place"))
        .where(*mine, SESSIONS.c.last_activity_at > as_of, SESSIONS.c.created_at <= as_of)
        .subquery()
    )
    moved = select(was.c.id, was.c.place).where(
        tuple_(was.c.place, was.c.id) < after, *_up_to(looked, was.c.place, was.c.id)
    )
    placed = union_all(unmoved, moved).subquery()
    return (
        select(*SESSION, placed.c.place, as_of.label("as_of"))
        .join(placed, SESSIONS.c.id == placed.c.id)
        .order_by(placed.c.place.desc(), SESSIONS.c.id.desc())
    )


def _activity_at(moment: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """Tell when the session had last been active at a moment: only turns are activity."""
    begun = func.max(TURNS.c.created_at).filter(TURNS.c.created_at <= moment)
    ended = func.max(TURNS.c.ended_at).filter(TURNS.c.ended_at <= moment)
    turns = (
        select(func.greatest(begun, ended))
        .where(TURNS.c.session_id == SESSIONS.c.id)
        .scalar_subquery()
    )
    return func.greatest(SESSIONS.c.created_at, turns)  # ignores NULL: a session without turns
