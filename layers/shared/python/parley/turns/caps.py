"""How much of tools' outputs the model is told: caps that keep a turn from multiplying.

What the model is told once it is told again at every model call after it, and in later turns. The
record keeps an output whole; what of it is told is recorded too, so that a replay tells the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

_OUTPUTS_OF_A_TURN = 10
_LEAST_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Caps:
    """What a turn's tools may add to what the model is told.

    Attributes:
        output_bytes: UTF-8 bytes of one output's text; all of a turn's together may have ten times
            as many, and each of those behind them is cut to 1,000.
        step_calls: Calls of tools in one answer of the model; it is told to repeat the others.
    """

    output_bytes: int = 100_000
    step_calls: int = 32


class Allotment:
    """The bytes that each output of a turn is told with. Safe from several threads."""

    def __init__(self, caps: Caps) -> None:
        """Begin with nothing told."""
        self._caps = caps
        self._allotted: dict[str, int] = {}
        self._lock = Lock()

    def take(self, call_id: str, output: Any, *, told: int | None = None) -> int | None:
        """Allot bytes to the output of a call.

        Args:
            call_id: The call; its earlier allotment, as of a body that is run again, is given back.
            output: What the model is to be told.
            told: What was allotted in an earlier attempt.

        Returns:
            How many bytes of the output are told; None for all.
        """
        size = _size(output)
        with self._lock:
            self._allotted.pop(call_id, None)
            left = self._caps.output_bytes * _OUTPUTS_OF_A_TURN - sum(self._allotted.values())
            room = max(_LEAST_BYTES, min(self._caps.output_bytes, left))
            self._allotted[call_id] = min(size, told if told is not None else room)
        return None if size <= room and told is None else self._allotted[call_id]


def cut(output: Any, limit: int | None) -> Any:
    """Return an output with its text cut to so many bytes, and a note that says so.

    Images and files of the SDK's structured outputs are left as they are.
    """
    if limit is None:
        return output
    if isinstance(output, str):
        return _cut_text(output, limit)
    told = []
    for part in output if isinstance(output, list) else [output]:
        if _is_text(part):
            text = part["text"]
            told.append({**part, "text": _cut_text(text, limit)})
            limit = max(0, limit - len(text.encode()))
        else:
            told.append(part)
    return told


def _cut_text(text: str, limit: int) -> str:
    whole = text.encode()
    if len(whole) <= limit:
        return text
    shown = whole[:limit].decode(errors="ignore")
    return f"{shown}\n[Cut here: {limit} of {len(whole)} bytes are shown. Ask for less at a time.]"


def _size(output: Any) -> int:
    if isinstance(output, str):
        return len(output.encode())
    parts = output if isinstance(output, list) else [output]
    return sum(len(part["text"].encode()) for part in parts if _is_text(part))


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text"
