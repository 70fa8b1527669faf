"""Turns of all users: what runs now, what waits, what failed. For administration only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, literal_column, select

from parley.repository.database import Database
from parley.repository.paging import Page, decode, encode, fitting
from parley.repository.scope import SERVICE
from parley.repository.states import OPEN, OPEN_IN_SQL, TurnStatus
from parley.repository.tables import TURNS, AnyQuery, AnyRow
from parley.repository.values import TURN, Turn

LOOKED_AT = 5_000
"""How many turns a page looks through for those that are asked for."""

_POSITION: TypeAdapter[tuple[UUID]] = TypeAdapter(tuple[UUID])
# As the index of open turns has it: of a parameter Postgres does not know that it fits.
_IS_OPEN: ColumnElement[bool] = literal_column(f"turns.status IN {OPEN_IN_SQL}")


@dataclass(frozen=True, slots=True)
class TurnFilter:
    """Which turns to list; None matches all."""

    status: TurnStatus | None = None
    user_id: str | None = None
    agent: str | None = None
    session_id: UUID | None = None


def list_all_turns(
    database: Database, matching: TurnFilter, *, limit: int, cursor: str | None
) -> Page[Turn]:
    """List turns of all users, the newest first.

    A page looks through `LOOKED_AT` turns at most, so it may have fewer than are asked for, or
    none, and others follow all the same. Those that are open, and those of one session, have an
    index of their own, and a page of them is full.

    Args:
        database: Where they are.
        matching: Which of them.
        limit: At most so many, 1 to 100.
        cursor: Where the page starts, as the one before said.

    Raises:
        InvalidField: The cursor is not one of this list.
        StoreUnavailable: Postgres cannot serve now.
    """
    before = None if cursor is None else decode(cursor, _POSITION)[0]
    through, is_whole = _through(matching, before)
    # Whole as they are looked through: sought again by its id, each would be four pages more.
    looked = through.subquery()
    query = select(looked)
    if matching.status is not None:
        query = query.where(looked.c.status == matching.status)
    if matching.user_id is not None:
        query = query.where(looked.c.user_id == matching.user_id)
    if matching.agent is not None:
        query = query.where(looked.c.agent == matching.agent)
    query = query.order_by(looked.c.id.desc()).limit(limit + 1)
    last_looked_at = select(through.with_only_columns(TURNS.c.id).subquery()).offset(LOOKED_AT - 1)

    def read(connection: Connection) -> tuple[Sequence[AnyRow], UUID | None]:
        rows = connection.execute(query).all()
        if is_whole or len(rows) > limit:
            return rows, None
        return rows, connection.execute(last_looked_at).scalar_one_or_none()

    rows, ended_at = database.read(SERVICE, read)
    kept = fitting(rows, limit, lambda row: [row.error_detail])
    page = [Turn.of(row) for row in rows[:kept]]
    if len(rows) > kept:
        ended_at = page[-1].id
    return Page(page, None if ended_at is None else encode([ended_at]))


def _through(matching: TurnFilter, before: UUID | None) -> tuple[AnyQuery, bool]:
    """Return the turns to look through, and whether those are all that can match."""
    turns: AnyQuery = select(*TURN)
    if before is not None:
        turns = turns.where(TURNS.c.id < before)
    # What is only asked of few is no reason to read all in their order: hence no order, and OFFSET.
    if matching.session_id is not None:
        return turns.where(TURNS.c.session_id == matching.session_id).offset(0), True
    if matching.status in OPEN:
        return turns.where(_IS_OPEN).offset(0), True
    return turns.order_by(TURNS.c.id.desc()).limit(LOOKED_AT), False
