"""The transcript: what was said, and in which turn; read only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    case,
    func,
    select,
    tuple_,
)

from parley.errors import NotFound
from parley.repository.approvals import Approval
from parley.repository.conversations import conversation
from parley.repository.database import Database
from parley.repository.paging import Number, Page, decode, encode, fitting
from parley.repository.scope import SERVICE, OfUser
from parley.repository.states import OPEN, TurnStatus
from parley.repository.streams import Place, frees_in, placed_in, taking
from parley.repository.tables import (
    APPROVALS,
    MESSAGES,
    SESSIONS,
    TOOL_CALLS,
    TURNS,
    AnyQuery,
    AnyRow,
)
from parley.repository.values import MESSAGE, TURN, Message, Step, Turn

# Of a turn, the user speaks first.
_PLACE = case((MESSAGES.c.role == "user", 0), else_=1)
_MESSAGE_POSITION: TypeAdapter[tuple[Number, Number]] = TypeAdapter(tuple[Number, Number])
_TURN_POSITION: TypeAdapter[tuple[Number]] = TypeAdapter(tuple[Number])


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn with what was said in it.

    Attributes:
        user_message: What it answers; None of an administrator's note, which answers nothing.
        reply: None until it completes.
        approvals: Of a turn that waits, all that it has asked for.
        behind_waiting: Whether it is queued behind a turn that waits for somebody.
    """

    turn: Turn
    user_message: Message | None
    reply: Message | None
    approvals: tuple[Approval, ...] = ()
    behind_waiting: bool = False

    @property
    def stands_still(self) -> bool:
        """Whether nothing happens in it until somebody has decided, who may take days."""
        return self.turn.status == "waiting" or self.behind_waiting

    @classmethod
    def of(cls, row: AnyRow, approvals: Iterable[AnyRow] = ()) -> Self:
        """Make the view of a row of `_VIEWS`."""
        reply_at, end = len(TURN) + len(MESSAGE), len(TURN) + 2 * len(MESSAGE)
        asked, reply = row[len(TURN) : reply_at], row[reply_at:end]
        return cls(
            Turn.of(row),
            None if asked[0] is None else Message(*asked),
            None if reply[0] is None else Message(*reply),
            tuple(Approval.of(each, row.session_id) for each in approvals),
            bool(row.behind_waiting),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Whose a turn is, and where; `request_id` is of the API's request that made it, if known."""

    user_id: str
    session_id: UUID
    turn_id: UUID
    request_id: str | None


class Transcript:
    """Reads turns and messages. Methods block, and raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        """Keep the way to Postgres."""
        self._database = database

    def messages(
        self,
        user_id: str,
        session_id: UUID,
        *,
        order: Literal["asc", "desc"],
        limit: int,
        cursor: str | None,
    ) -> Page[Message]:
        """List a session's messages by (turn number, role), newest first unless asked.

        Raises:
            NotFound: The user has no such session.
            InvalidField: The cursor is not one of this list.
        """
        query = (
            select(*_columns(MESSAGES), TURNS.c.number)
            .join(TURNS, MESSAGES.c.turn_id == TURNS.c.id)
            .where(TURNS.c.session_id == session_id, TURNS.c.user_id == user_id)
            .limit(limit + 1)
        )
        place = tuple_(TURNS.c.number, _PLACE)
        if order == "asc":
            query = query.order_by(TURNS.c.number, _PLACE)
        else:
            query = query.order_by(TURNS.c.number.desc(), _PLACE.desc())
        if cursor is not None:
            last = decode(cursor, _MESSAGE_POSITION)
            query = query.where(place > last if order == "asc" else place < last)
        rows = self._database.run(OfUser(user_id), query)
        if not rows:
            self._require_session(user_id, session_id)
        kept = fitting(rows, limit, lambda row: [row.content])
        page = [Message(*row[: len(MESSAGE)]) for row in rows[:kept]]
        if len(rows) <= kept:
            return Page(page, None)
        return Page(page, encode([rows[kept - 1].number, 0 if page[-1].role == "user" else 1]))

    def turns(
        self,
        user_id: str,
        session_id: UUID,
        *,
        status: TurnStatus | None,
        limit: int,
        cursor: str | None,
    ) -> Page[Turn]:
        """List a session's turns, newest first.

        Raises:
            NotFound: The user has no such session.
            InvalidField: The cursor is not one of this list.
        """
        query = (
            select(*TURN)
            .where(TURNS.c.session_id == session_id, TURNS.c.user_id == user_id)
            .order_by(TURNS.c.number.desc())
            .limit(limit + 1)
        )
        if status is not None:
            query = query.where(TURNS.c.status == status)
        if cursor is not None:
            query = query.where(TURNS.c.number < decode(cursor, _TURN_POSITION)[0])
        rows = self._database.run(OfUser(user_id), query)
        if not rows:
            self._require_session(user_id, session_id)
        kept = fitting(rows, limit, lambda row: [row.error_detail])
        more = len(rows) > kept
        page = [Turn.of(row) for row in rows[:kept]]
        return Page(page, encode([page[-1].number]) if more else None)

    def turn(
        self, user_id: str, session_id: UUID, turn_id: UUID, *, place: Place | None = None
    ) -> TurnView:
        """Look at one turn.

        Args:
            user_id: Whose it is.
            session_id: Its session.
            turn_id: The turn.
            place: To be taken for the stream that is to tell it, in the same statement.

        Raises:
            NotFound: There is no such turn in a session of this user's.
            LimitReached: The user holds as many streams as one may.
        """
        query = _VIEWS.where(
            TURNS.c.id == turn_id, TURNS.c.session_id == session_id, TURNS.c.user_id == user_id
        )
        view = self._found(user_id, query, place)
        if view is None:
            raise NotFound("turn", turn_id)
        return view

    def find(self, named: str) -> Found:
        """Find anybody's turn by its id, or by that of the API's request which made it.

        Raises:
            NotFound: There is none.
        """
        wanted = TURNS.c.request_id == named
        with suppress(ValueError):  # it can only be a request's
            wanted |= TURNS.c.id == UUID(named)
        query = select(TURNS.c.user_id, TURNS.c.session_id, TURNS.c.id, TURNS.c.request_id)
        rows = self._database.run(SERVICE, query.where(wanted).limit(1))
        if not rows:
            raise NotFound("turn", named)
        (row,) = rows
        return Found(row.user_id, row.session_id, row.id, row.request_id)

    def steps(self, user_id: str, turn_id: UUID) -> Sequence[Step]:
        """Read what was done in a turn, in the order in which it ended.

        Calls of tools are there as they are recorded, those of the model when the turn has ended.
        """
        calls = (
            select(TOOL_CALLS)
            .where(TOOL_CALLS.c.turn_id == turn_id)
            .order_by(TOOL_CALLS.c.created_at, TOOL_CALLS.c.call_id)
        )
        model = select(TURNS.c.model_steps).where(TURNS.c.id == turn_id)

        def read(connection: Connection) -> list[Step]:
            asked = connection.execute(model).scalar_one_or_none() or []
            return [
                *map(Step.of_model, asked),
                *map(Step.of_tool, connection.execute(calls).all()),
            ]

        return sorted(self._database.read(OfUser(user_id), read), key=attrgetter("ended_at"))

    def of_turns(
        self, user_id: str, session_id: UUID, numbers: Sequence[int], *, max_bytes: int
    ) -> dict[int, tuple[TurnView, int]]:
        """Read what was said in the numbered turns; memory that is gone is rebuilt from it.

        Args:
            user_id: Whose they are.
            session_id: The session.
            numbers: Which turns.
            max_bytes: Reading ends, newest first, at the turn with which their texts come to more.

        Returns:
            Each turn with the number of its recorded tool calls, by the turn's number.
        """
        numbered = (TURNS.c.session_id == session_id, TURNS.c.number.in_(numbers))
        sized = _SIZED.where(*numbered).subquery()
        query = (
            _VIEWS.add_columns(_TOOL_CALLS)
            .join(sized, sized.c.id == TURNS.c.id)
            .where(sized.c.newer <= max_bytes)
        )
        rows = self._database.run(OfUser(user_id), query)
        return {row.number: (TurnView.of(row), row[-1]) for row in rows}

    def open_turn(
        self,
        user_id: str,
        key: str,
        session_id: UUID | None,
        *,
        place: Place | None = None,
        agent: str | None = None,
    ) -> TurnView | None:
        """Look at the open turn that comes first in a session.

        Args:
            user_id: Whose session it is.
            key: The idempotency key that it was made with.
            session_id: Or its id, which counts before the key.
            place: As with `turn`.
            agent: Whose it must be to be known by its id; None if any will do.

        Returns:
            None if no turn is open, or the user has no such session.

        Raises:
            LimitReached: The user holds as many streams as one may.
        """
        query = (
            _VIEWS.where(
                TURNS.c.session_id == conversation(user_id, key, session_id, agent),
                TURNS.c.user_id == user_id,
                TURNS.c.status.in_(OPEN),
            )
            .order_by(TURNS.c.number)
            .limit(1)
        )
        return self._found(user_id, query, place)

    def _found(self, user_id: str, query: AnyQuery, place: Place | None) -> TurnView | None:
        """Look at the turn that a query of views gives, and take a place for who is told it."""
        if place is None:
            return self._database.read(OfUser(user_id), partial(_view, query))
        wanted = query.with_only_columns(TURNS.c.id, TURNS.c.user_id).cte("wanted")
        placed = taking()
        taken = (
            _VIEWS.add_columns(placed_in(placed), frees_in(user_id))
            .where(TURNS.c.id == select(wanted.c.id).scalar_subquery())
            .add_cte(wanted, placed)
        )
        parameters = place.parameters()

        def look(connection: Connection) -> TurnView | None:
            row = connection.execute(taken, parameters).first()
            if row is not None and not row.placed:
                raise place.refusal(row.frees or 0.0)
            return _shown(connection, row)

        # Alone, as begins count the places that this takes.
        return self._database.read(OfUser(user_id, alone=True), look)

    def _require_session(self, user_id: str, session_id: UUID) -> None:
        query = select(SESSIONS.c.id).where(
            SESSIONS.c.id == session_id, SESSIONS.c.user_id == user_id
        )
        if not self._database.run(OfUser(user_id), query):
            raise NotFound("session", session_id)


def _view(query: AnyQuery, connection: Connection) -> TurnView | None:
    return _shown(connection, connection.execute(query).first())


def _shown(connection: Connection, row: AnyRow | None) -> TurnView | None:
    if row is None:
        return None
    if row.status != "waiting":
        return TurnView.of(row)
    asked = select(APPROVALS).where(APPROVALS.c.turn_id == row.id).order_by(APPROVALS.c.id)
    return TurnView.of(row, connection.execute(asked).all())


def _columns(messages: FromClause) -> list[ColumnElement[Any]]:
    return [messages.c[name] for name in MESSAGE]


def _views() -> AnyQuery:
    user_message, reply, head = MESSAGES.alias(), MESSAGES.alias(), TURNS.alias()
    waiting = select(head.c.id).where(
        head.c.session_id == TURNS.c.session_id, head.c.status == "waiting"
    )
    behind_waiting = case((TURNS.c.status == "queued", waiting.correlate(TURNS).exists()))
    return (
        select(
            *TURN,
            *_columns(user_message),
            *_columns(reply),
            behind_waiting.label("behind_waiting"),
        )
        .select_from(TURNS)
        .outerjoin(
            user_message, (user_message.c.turn_id == TURNS.c.id) & (user_message.c.role == "user")
        )
        .outerjoin(reply, (reply.c.turn_id == TURNS.c.id) & (reply.c.role == "assistant"))
    )


# Built here, by one thread: an alias makes its columns at its first use, and of two threads that
# use it first at once each keeps other ones, which never match again (sqlalchemy#12302).
_VIEWS = _views()
# How much was said in turns, and in those of them that are newer than each.
_BYTES = func.coalesce(func.sum(func.octet_length(MESSAGES.c.content)), 0)
_SIZED = (
    select(
        TURNS.c.id,
        (func.sum(_BYTES).over(order_by=TURNS.c.number.desc()) - _BYTES).label("newer"),
    )
    .outerjoin(MESSAGES, MESSAGES.c.turn_id == TURNS.c.id)
    .group_by(TURNS.c.id, TURNS.c.number)
)
_TOOL_CALLS = (
    select(func.count())
    .where(TOOL_CALLS.c.turn_id == TURNS.c.id)
    .correlate(TURNS)
    .scalar_subquery()
)
