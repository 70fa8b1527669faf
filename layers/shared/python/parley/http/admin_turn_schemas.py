"""What administrators get of turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, Field, JsonValue

from parley.events.log import TurnEvent
from parley.http.schemas import Time, Turn, TurnDetails
from parley.repository import turn_records, values
from parley.repository.transcript import Found, TurnView
from parley.turns import remembered

_ATTEMPT = "The number of the attempt that has it now, or had it last."
_CRASHES = "How many of its attempts died, or ended by a defect."


class TurnOfAnybody(Turn):
    """A turn, whose it is, and how often it was tried."""

    user_id: str
    attempt: int = Field(description=_ATTEMPT)
    crashes: int = Field(description=_CRASHES)

    @classmethod
    def of(cls, turn: values.Turn) -> Self:
        """Show a turn."""
        shown = Turn.of(turn)
        return cls(**dict(shown), user_id=turn.user_id, attempt=turn.attempt, crashes=turn.crashes)


class AnyTurnList(BaseModel):
    """A page of turns."""

    items: list[TurnOfAnybody]
    next_cursor: str | None


class AdminTurn(TurnDetails):
    """A turn with what was said and done in it, whose it is, and which request made it."""

    user_id: str
    request_id: str | None = Field(description="Of the API's request, where it is known.")
    attempt: int = Field(description=_ATTEMPT)
    crashes: int = Field(description=_CRASHES)

    @classmethod
    def found(cls, where: Found, view: TurnView, steps: Iterable[values.Step]) -> Self:
        """Show a turn."""
        whole = TurnDetails.shown(view, steps)
        return cls(
            **dict(whole),
            user_id=where.user_id,
            request_id=where.request_id,
            attempt=view.turn.attempt,
            crashes=view.turn.crashes,
        )


class RecordedToolCall(BaseModel):
    """A call of a tool, as it was recorded."""

    call_id: str = Field(description="The model's id of the call, unique in its turn.")
    name: str
    arguments: str = Field(description="As the model wrote them, JSON text.")
    output: JsonValue = Field(description="What the tool gave; text, where it is cut.")
    cut: bool = Field(
        description="Whether arguments or output are longer than 100,000 characters; so many are"
        " here."
    )
    effect: bool = Field(description="Whether the tool is one that changes something.")
    error: str | None = Field(description="The type of the exception that it failed with.")
    milliseconds: int | None = Field(description="How long it took, where that is known.")
    recorded_at: Time

    @classmethod
    def of(cls, call: turn_records.RecordedCall) -> Self:
        """Show a call."""
        return cls(
            call_id=call.call_id,
            name=call.name,
            arguments=call.arguments,
            output=call.output,
            cut=call.cut,
            effect=call.effect,
            error=call.error,
            milliseconds=call.milliseconds,
            recorded_at=call.recorded_at,
        )


class RecordedToolCallList(BaseModel):
    """A page of calls, in the order in which they were recorded."""

    items: list[RecordedToolCall]
    next_cursor: str | None


class LoggedEvent(BaseModel):
    """One thing that happened in a turn; docs/streaming.md says what `data` holds."""

    sequence: int = Field(ge=1, description="Its place in the turn; of joined pieces the last's.")
    type: str = Field(description="What happened, as in the stream of the turn's events.")
    at: Time
    data: dict[str, JsonValue]

    @classmethod
    def of(cls, event: TurnEvent) -> Self:
        """Show an event."""
        return cls(sequence=event.sequence, type=event.type, at=event.at, data=dict(event.data))


class LoggedEventList(BaseModel):
    """A page of events, in their order."""

    items: list[LoggedEvent]
    next_cursor: str | None


class RememberedItem(BaseModel):
    """What the model was told, or answered: one item, as the Agents SDK keeps it."""

    place: int = Field(ge=0, description="Its place in the turn: 0, 1, 2, …")
    item: JsonValue = Field(description="The item; the beginning of its JSON where it is cut.")
    cut: bool = Field(description="Whether its JSON is longer than 100,000 characters.")

    @classmethod
    def of(cls, item: remembered.RememberedItem) -> Self:
        """Show an item."""
        return cls(place=item.place, item=item.item, cut=item.cut)


class RememberedItemList(BaseModel):
    """A page of items, in their order."""

    items: list[RememberedItem]
    next_cursor: str | None
