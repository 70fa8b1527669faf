"""What a stored payload is worth to this code: readable, or of a version it does not know."""

from __future__ import annotations

from typing import Any

from parley.memory.codec import Unreadable, unpack, unpack_memory
from parley.memory.store import FORMAT_VERSION, TurnMemory


def readable_memory(version: int | None, payload: bytes | None) -> TurnMemory | None:
    """Decode a finished turn's payload.

    Returns:
        What the turn left, or None if the payload is missing, damaged or of an unknown version:
        such a turn is rebuilt from the transcript.
    """
    if version != FORMAT_VERSION or payload is None:
        return None
    try:
        return unpack_memory(payload)
    except Unreadable:
        return None


def readable_record(version: int | None, payload: bytes | None) -> dict[str, Any]:
    """Decode a recorded model response.

    Raises:
        Unreadable: It is missing, damaged or of an unknown version. Leaving it out instead would
            have the model called again over effects that have already happened.
    """
    if version != FORMAT_VERSION or payload is None:
        raise Unreadable(f"a record of version {version}")
    response = unpack(payload)
    if not isinstance(response, dict):
        raise Unreadable("a record that is not an object")
    return response
