"""A turn's header, the one item that its state hangs on, as DynamoDB's attributes.

While the turn is open each record is an attribute of its own, `r#<position>`: setting one attribute
twice is harmless, so the client library may repeat a call whose answer was lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from parley.ids import SUMMARY_NUMBER, TurnKey
from parley.memory.dynamodb_chunks import CHUNKS_FIRST, Chunked
from parley.memory.dynamodb_table import Attributes, key
from parley.memory.store import FORMAT_VERSION, NO_TURN, TurnMemory

TURNS_FIRST = "t#"
LOGS_FIRST = "e#"
"""Begins the parts of event logs (see `parley.events`): between the chunks and the turns, where no
query comes past but the one that forgets all there is."""

FIRST = min(CHUNKS_FIRST, LOGS_FIRST, TURNS_FIRST)
FINISHED_ATTRIBUTES = (
    *("part", "attempt", "state", "version", "payload", "write", "chunks"),
    "expires_at",
)
OPEN = {"S": "open"}
DONE = {"S": "done"}

_HIGHEST = SUMMARY_NUMBER
_RECORD = "r#"


def part(turn: TurnKey) -> str:
    """Return the sort key of a turn: its number and id, or the number alone where no turn is."""
    return lowest(turn.number) if turn.id == NO_TURN else f"{lowest(turn.number)}#{turn.id}"


def lowest(number: int) -> str:
    """Return the lowest sort key of turns of that number, or of the nearest one in range."""
    return f"{TURNS_FIRST}{min(max(number, 0), _HIGHEST):010}"


def highest(number: int) -> str:
    """Return a sort key above those of all turns of that number, and below those of the next."""
    return f"{lowest(number)}~"


LAST = highest(_HIGHEST)


def turn_of(header: Attributes) -> TurnKey:
    """Read from its sort key whose header it is."""
    number, _, turn_id = header["part"]["S"].removeprefix(TURNS_FIRST).partition("#")
    return TurnKey(int(number), UUID(turn_id) if turn_id else NO_TURN)


def number_of(header: Attributes) -> int:
    """Read a turn's number from its sort key."""
    return turn_of(header).number


def is_turn(item: Attributes) -> bool:
    """Return whether an item is a turn's header and not a chunk."""
    return bool(item["part"]["S"].startswith(TURNS_FIRST))


def is_done(header: Attributes) -> bool:
    """Return whether the turn is finished."""
    return bool(header["state"] == DONE)


def attempt_of(header: Attributes) -> int:
    """Read the attempt that the header names."""
    return int(header["attempt"]["N"])


def write_of(header: Attributes) -> str | None:
    """Read which write finished the turn; None while it is open."""
    return _text(header, "write")


def now() -> Attributes:
    """This machine's clock, in seconds since 1970."""
    return {"N": f"{time.time():.6f}"}


def expiry_of(header: Attributes) -> int | None:
    """Read when the item expires; None if it never does."""
    return int(header["expires_at"]["N"]) if "expires_at" in header else None


def is_alive(header: Attributes) -> bool:
    """Return whether the item has not expired; DynamoDB removes it some days after it has."""
    expires_at = expiry_of(header)
    return expires_at is None or expires_at > time.time()


def expiring(at: int | None) -> Attributes:
    """Make the attribute that says when an item expires; none if it never does."""
    return {} if at is None else {"expires_at": {"N": str(at)}}


def finished(
    conversation: str,
    turn: TurnKey,
    attempt: int,
    write: str,
    memory: TurnMemory,
    size: int,
    expires_at: int | None,
) -> Attributes:
    """Make the header of a finished turn, but for its payload of `size` bytes."""
    return key(conversation, part(turn)) | {
        "attempt": {"N": str(attempt)},
        "state": DONE,
        "write": {"S": write},
        "items": {"N": str(len(memory.items))},
        "bytes": {"N": str(size)},
        "updated_at": now(),
        **expiring(expires_at),
    }


def discarded(conversation: str, turn: TurnKey, attempt: int, expires_at: int) -> Attributes:
    """Make the header of an open turn of which nothing but the fence is left."""
    return key(conversation, part(turn)) | {
        "attempt": {"N": str(attempt)},
        "state": OPEN,
        "updated_at": now(),
        **expiring(expires_at),
    }


def carrying(payload: bytes | Chunked) -> Attributes:
    """Make the attributes that hold a payload or name its chunks, for a header or a record."""
    version = {"version": {"N": str(FORMAT_VERSION)}}
    if isinstance(payload, Chunked):
        return version | {"write": {"S": payload.write}, "chunks": {"N": str(payload.count)}}
    return version | {"payload": {"B": payload}}


def version_of(carrier: Attributes) -> int | None:
    """Read the format version of a header's or a record's payload."""
    return int(carrier["version"]["N"]) if "version" in carrier else None


def payload_of(carrier: Attributes) -> bytes | None:
    """Read the payload that a header or a record holds itself, if it does."""
    payload: dict[str, Any] = carrier.get("payload", {})
    return payload.get("B")


def chunked_of(number: int, carrier: Attributes) -> Chunked | None:
    """Read which chunks a header or a record names, if it does."""
    write = _text(carrier, "write")
    if write is None or "chunks" not in carrier:
        return None
    return Chunked(number, write, int(carrier["chunks"]["N"]))


def record_name(position: str) -> str:
    """Return the attribute of the record at a position."""
    return f"{_RECORD}{position}"


def records_of(header: Attributes) -> Iterator[tuple[str, Attributes]]:
    """Read an open header's records, or those of an answer's changed attributes."""
    for name, value in header.items():
        if name.startswith(_RECORD):
            yield name.removeprefix(_RECORD), value["M"]


def all_chunked(number: int, header: Attributes) -> list[Chunked]:
    """Read all chunks that a header or its records name."""
    carriers = [header, *(record for _, record in records_of(header))]
    return [found for carrier in carriers if (found := chunked_of(number, carrier))]


def _text(carrier: Attributes, name: str) -> str | None:
    value: dict[str, str] = carrier.get(name, {})
    return value.get("S")
