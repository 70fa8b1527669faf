"""A turn's log a page at a time, for who looks at it afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field, TypeAdapter

from parley.events.log import EventLog, TurnEvent
from parley.ids import TurnKey
from parley.repository.paging import Page, decode, encode, fitting

_CHUNKS_AT_ONCE = 20
_POSITION: TypeAdapter[tuple[Annotated[int, Field(ge=0, le=10**10)]]] = TypeAdapter(
    tuple[Annotated[int, Field(ge=0, le=10**10)]]
)


def list_events(
    log: EventLog, conversation: str, turn: TurnKey, *, limit: int, cursor: str | None
) -> Page[TurnEvent]:
    """List what happened in a turn, in its order, as far as it is still kept.

    Pieces of one message that follow on each other are one event, with the place of the last.

    Args:
        log: Where it is kept.
        conversation: The conversation key.
        turn: The turn.
        limit: At most so many, 1 to 100.
        cursor: Where the page starts, as the one before said.

    Raises:
        InvalidField: The cursor is not one of this list.
        StoreUnavailable: The log cannot be read now.
    """
    after = 0 if cursor is None else decode(cursor, _POSITION)[0]
    found: list[TurnEvent] = []
    read = after
    while events := log.read(conversation, turn, after=read, limit=_CHUNKS_AT_ONCE):
        read = events[-1].sequence
        found = joined([*found, *events])
        if len(found) > limit:
            break
    kept = fitting(found, limit, lambda event: [event.data])
    page = found[:kept]
    return Page(page, encode([page[-1].sequence]) if len(found) > kept else None)


def joined(events: Iterable[TurnEvent]) -> list[TurnEvent]:
    """Return the events with the pieces of each message joined, as far as nothing is between."""
    whole: list[TurnEvent] = []
    for event in events:
        last = whole[-1] if whole else None
        if last is not None and _goes_on(last, event):
            data = {**last.data, "text": last.data["text"] + event.data["text"]}
            whole[-1] = replace(last, sequence=event.sequence, data=data)
        else:
            whole.append(event)
    return whole


def _goes_on(before: TurnEvent, event: TurnEvent) -> bool:
    both: Sequence[TurnEvent] = (before, event)
    return all(each.type == "message.delta" for each in both) and (
        before.data.get("step") == event.data.get("step")
    )
