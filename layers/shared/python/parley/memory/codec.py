"""Payloads: JSON, compressed."""

from __future__ import annotations

import zlib
from typing import Any

from pydantic_core import from_json, to_json

from parley.errors import ParleyError
from parley.memory.store import TurnMemory

_LEVEL = 1  # measured: level 6 takes three times as long and saves a twentieth


class Unreadable(ParleyError, ValueError):
    """The payload is damaged, or not of a shape that this code writes."""


def pack(value: Any) -> bytes:
    """Encode a JSON value. Lone surrogates must have been replaced before."""
    return zlib.compress(to_json(value), _LEVEL)


def unpack(payload: bytes) -> Any:
    """Decode what `pack` encoded.

    Raises:
        Unreadable: The payload is not what `pack` makes.
    """
    try:
        return from_json(zlib.decompress(payload))
    except (zlib.error, ValueError) as error:
        raise Unreadable(str(error)) from error


def pack_memory(memory: TurnMemory) -> bytes:
    """Encode what a turn leaves."""
    return pack(
        {
            "items": memory.items,
            "reply": memory.reply,
            "usage": memory.usage,
            "tool_calls": memory.tool_calls,
            "model_steps": memory.model_steps,
            "spent": memory.spent,
            "decided": memory.decided,
        }
    )


def unpack_memory(payload: bytes) -> TurnMemory:
    """Decode what `pack_memory` encoded.

    Raises:
        Unreadable: The payload is damaged or of another shape.
    """
    value = unpack(payload)
    match value:
        case {"items": list(items), "reply": str() | None as reply, "usage": dict(usage)}:
            if all(isinstance(item, dict) for item in items):
                calls, steps = value.get("tool_calls", 0), value.get("model_steps", [])
                spent, decided = value.get("spent", []), value.get("decided", {})
                return TurnMemory(items, reply, usage, calls, steps, spent, decided)
    raise Unreadable("not what a turn leaves")
