"""The event log of a turn: what happened, in order, for a day.

A log is a chain of chunks, one a write, each kept for a day. A chunk names the sequence number of
its first event and can only be put where the chain ends, so of two writers at the same place one
wins; the other reads on and finds out why (turn-protocol, section 9). Whoever takes a turn over, or
stops it, writes to its log: an attempt that was replaced so finds its place taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

from parley.errors import ParleyError
from parley.ids import TurnKey

EventType = Literal[
    "turn.started",
    "turn.resumed",
    "turn.waiting",
    "approval.decided",
    "message.delta",
    "message.reset",
    "tool.called",
    "tool.returned",
    "message.completed",
    "turn.completed",
    "turn.failed",
    "turn.cancelled",
    "events.lost",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

FINAL: frozenset[EventType] = frozenset({"turn.completed", "turn.failed", "turn.cancelled"})
"""The events after which none follows."""


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """One thing that happened in a turn.

    Attributes:
        sequence: Its place in the turn's log: 1, 2, 3, … without a gap, unless what came before a
            wait is gone.
        type: What happened.
        at: When, by the clock of who wrote it.
        data: What there is to tell of it; a JSON object. See docs/streaming.md.
    """

    sequence: int
    type: EventType
    at: datetime
    data: Mapping[str, Any]


class PlaceTaken(ParleyError):
    """Other events stand where these should: read on from there."""


class EventLog(Protocol):
    """Where events are kept. Every method may raise `StoreUnavailable`.

    Methods block; callers on an event loop run them in a thread. All are safe to call from several
    threads and processes. A log goes with the memory of its conversation:
    `AgentSessionStore.forget` removes both.
    """

    def append(
        self, conversation: str, turn: TurnKey, writer: str, events: Sequence[TurnEvent]
    ) -> None:
        """Put a chunk at the end of a turn's log.

        Appending the same chunk again is harmless: one whose answer was lost may be repeated, whole
        and unchanged.

        Args:
            conversation: The conversation key.
            turn: The turn.
            writer: Names who writes; another name for every attempt.
            events: At least one, numbered without a gap; the first follows on the log's last, or on
                what is gone. Their text has no lone surrogates (see `parley.text`).

        Raises:
            PlaceTaken: Another chunk stands there, as a rule another writer's.
            ValueError: The events are misnumbered, or too many or too large for one chunk: more
                than 350,000 bytes when compressed.
        """
        ...

    def read(
        self, conversation: str, turn: TurnKey, *, after: int = 0, limit: int | None = None
    ) -> list[TurnEvent]:
        """Read a turn's events, also those written a moment ago.

        Args:
            conversation: The conversation key.
            turn: The turn.
            after: Only events with a greater sequence number.
            limit: How many chunks to read at most; None for all. There may be more events then.

        Returns:
            The events in their order; none if there is no log, or not any more. A log that took
            longer than a day loses its beginning first. For a chunk that this code cannot read
            there is one `events.lost` in the place of its last event, and an error is logged.
        """
        ...

    def remove(self, conversation: str, turn: TurnKey) -> None:
        """Remove a turn's log, so that another can begin in its place."""
        ...
