"""Chunks of an event log as a store keeps them: JSON, compressed, with its extent beside it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from parley.events.log import EVENT_TYPES, PlaceTaken, TurnEvent
from parley.ids import session_of
from parley.memory.codec import Unreadable, pack, unpack
from parley.observability import logger
from parley.timing import KEPT_SECONDS

FORMAT_VERSION = 1
"""The format in which this code writes payloads. A chunk of another version is unreadable."""

HIGHEST = 10**10 - 1
"""The highest sequence number that DynamoDB's keys have room for."""

_MOST_BYTES = 350_000  # DynamoDB takes 400 KB an item, and keys and numbers need room too


@dataclass(frozen=True, slots=True)
class Chunk:
    """The events of one write.

    Attributes:
        first: The sequence number of the first.
        count: How many there are. It stands outside the payload: where that cannot be read, it
            still tells where the log goes on.
        writer: Who wrote it.
        version: The payload's format.
        expires_at: From when it reads as absent, in seconds since 1970.
        payload: The events.
    """

    first: int
    count: int
    writer: str
    version: int
    expires_at: int
    payload: bytes

    def holds_after(self, sequence: int, now: float) -> bool:
        """Return whether it has anything that comes after this number and has not expired."""
        return self.first + self.count - 1 > sequence and self.expires_at > now


def pack_chunk(writer: str, events: Sequence[TurnEvent]) -> Chunk:
    """Make a chunk that expires a day from now.

    Raises:
        ValueError: There are no events, they are not numbered without a gap, or they take more
            than 350,000 bytes together, compressed.
    """
    if not events:
        raise ValueError("events: at least one makes a chunk")
    first = events[0].sequence
    numbers = [event.sequence for event in events]
    if first < 1 or numbers != list(range(first, first + len(events))):
        raise ValueError(f"events: numbered {numbers}, not upwards from 1 without a gap")
    payload = pack([[event.type, event.at.isoformat(), event.data] for event in events])
    if len(payload) > _MOST_BYTES:
        raise ValueError(f"events: {len(payload)} bytes in one chunk, at most {_MOST_BYTES}")
    expires_at = int(time.time()) + KEPT_SECONDS
    return Chunk(first, len(events), writer, FORMAT_VERSION, expires_at, payload)


def ensure_same(chunk: Chunk, writer: str, payload: bytes) -> None:
    """See whether what stands in a chunk's place is this chunk, whose first answer was lost.

    Raises:
        PlaceTaken: It is not.
    """
    if (writer, payload) != (chunk.writer, chunk.payload):
        raise PlaceTaken(chunk.first)


def unpack_chunks(
    conversation: str, number: int, chunks: Iterable[Chunk], after: int
) -> list[TurnEvent]:
    """Return the chunks' events after a sequence number.

    For a chunk that cannot be read there is one `events.lost` with the number of its last event:
    readers and writers go on behind it, and nobody takes the log for whole.
    """
    return [
        event
        for chunk in chunks
        for event in _events(conversation, number, chunk, after)
        if event.sequence > after
    ]


def _events(conversation: str, number: int, chunk: Chunk, after: int) -> Iterator[TurnEvent]:
    try:
        yield from _unpacked(chunk)
    except Unreadable as error:
        named = session_of(conversation)
        logger().error(
            "events of a turn cannot be read",
            session_id=None if named is None else str(named[1]),
            number=number,
            first=chunk.first,
            count=chunk.count,
            version=chunk.version,
            reason=str(error),
        )
        last = chunk.first + chunk.count - 1
        written_at = datetime.fromtimestamp(chunk.expires_at - KEPT_SECONDS, UTC)
        lost = {"count": last - max(chunk.first - 1, after)}
        yield TurnEvent(last, "events.lost", written_at, lost)


def _unpacked(chunk: Chunk) -> list[TurnEvent]:
    if chunk.version != FORMAT_VERSION:
        raise Unreadable(f"version {chunk.version}")
    value = unpack(chunk.payload)
    if not isinstance(value, list) or len(value) != chunk.count:
        raise Unreadable("not as many events as were written")
    return [_event(sequence, entry) for sequence, entry in enumerate(value, start=chunk.first)]


def _event(sequence: int, entry: object) -> TurnEvent:
    match entry:
        case [str(kind), str(at), dict(data)]:
            for known in EVENT_TYPES:
                if known == kind:
                    return TurnEvent(sequence, known, _moment(at), data)
    raise Unreadable("not an event")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Unreadable("not a moment") from error
