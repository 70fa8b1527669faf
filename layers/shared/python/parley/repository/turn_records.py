"""What a turn's tools were given and gave, as it was recorded; read only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import StringConstraints, TypeAdapter
from pydantic_core import to_json
from sqlalchemy import select, tuple_

from parley.repository.database import Database
from parley.repository.paging import Moment, Page, decode, encode, fitting
from parley.repository.scope import OfUser
from parley.repository.tables import TOOL_CALLS, AnyRow

TEXT_MAX_CHARS = 100_000
"""How much of what a call was given, and of what it gave, is shown."""

_CallId = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]
_POSITION: TypeAdapter[tuple[Moment, _CallId]] = TypeAdapter(tuple[Moment, _CallId])


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call of a tool.

    Attributes:
        call_id: The model's id of the call, unique in its turn.
        arguments: As the model wrote them, JSON text.
        output: A JSON value; text, where it is cut.
        cut: Whether arguments or output are longer than `TEXT_MAX_CHARS`, which is their beginning.
        effect: Whether the tool is one that changes something.
        error: The type of the exception that it failed with; None if it did not.
        milliseconds: How long it took, where that is known.
        recorded_at: When its output was recorded.
    """

    call_id: str
    name: str
    arguments: str
    output: Any
    cut: bool
    effect: bool
    error: str | None
    milliseconds: int | None
    recorded_at: datetime

    @classmethod
    def of(cls, row: AnyRow) -> Self:
        """Make the value of a row."""
        output = row.output.get("value")
        written = output if isinstance(output, str) else to_json(output).decode()
        too_long = len(written) > TEXT_MAX_CHARS
        return cls(
            call_id=row.call_id,
            name=row.name,
            arguments=row.arguments[:TEXT_MAX_CHARS],
            output=written[:TEXT_MAX_CHARS] if too_long else output,
            cut=too_long or len(row.arguments) > TEXT_MAX_CHARS,
            effect=row.effect,
            error=row.output.get("error"),
            milliseconds=row.output.get("milliseconds"),
            recorded_at=row.created_at,
        )


def recorded_calls(
    database: Database, user_id: str, turn_id: UUID, *, limit: int, cursor: str | None
) -> Page[RecordedCall]:
    """List the calls of tools in a turn, in the order in which they were recorded.

    Args:
        database: Where they are.
        user_id: Whose turn it is.
        turn_id: The turn.
        limit: At most so many, 1 to 100.
        cursor: Where the page starts, as the one before said.

    Raises:
        InvalidField: The cursor is not one of this list.
        StoreUnavailable: Postgres cannot serve now.
    """
    place = tuple_(TOOL_CALLS.c.created_at, TOOL_CALLS.c.call_id)
    query = (
        select(TOOL_CALLS)
        .where(TOOL_CALLS.c.turn_id == turn_id)
        .order_by(TOOL_CALLS.c.created_at, TOOL_CALLS.c.call_id)
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(place > decode(cursor, _POSITION))
    rows = database.run(OfUser(user_id), query)
    calls = [RecordedCall.of(row) for row in rows]
    kept = fitting(calls, limit, lambda call: [call.arguments, call.output])
    page = calls[:kept]
    if len(calls) <= kept:
        return Page(page, None)
    return Page(page, encode([page[-1].recorded_at, page[-1].call_id]))
