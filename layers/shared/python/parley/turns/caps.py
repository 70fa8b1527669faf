"""What a turn may take: caps that keep what the model is told from multiplying.

What the model is told once it is told again at every model call after it, and in later turns. The
record keeps an output whole; what of it is told is recorded too, so that a replay tells the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pydantic_core import to_json

_OUTPUTS_OF_A_TURN = 10
_LEAST_BYTES = 1_000
_OTHER_PARTS = 10  # a picture takes more bytes than a text that tells as much


@dataclass(frozen=True, slots=True)
class Caps:
    """What a turn's tools and answers may add to what the model is told.

    Attributes:
        output_bytes: UTF-8 bytes of one output's text; all of a turn's together may have ten times
            as many, and each of those behind them is cut to 1,000. The images and files of one
            output may have ten times as many as its text.
        step_calls: Calls of tools in one answer of the model; it is told to repeat the others.
        answers_bytes: Bytes of JSON of all that models answer in the turn. Each answer is kept for
            the next attempt, and sent back with every call after it.
    """

    output_bytes: int = 100_000
    step_calls: int = 32
    answers_bytes: int = 16_000_000


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a turn grants the MCP servers of its agents.

    Attributes:
        seconds: How long one request may take, connecting and waiting for others included.
        listing_seconds: For how long a server is not asked again which tools it has.
    """

    seconds: float = 30
    listing_seconds: float = 300


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
        text, others = _text_bytes(output), _other_bytes(output)
        with self._lock:
            self._allotted.pop(call_id, None)
            left = self._caps.output_bytes * _OUTPUTS_OF_A_TURN - sum(self._allotted.values())
            room = max(_LEAST_BYTES, min(self._caps.output_bytes, left))
            if sum(others) > left:
                room = max(_LEAST_BYTES, min(room, left // _OTHER_PARTS))
            if told is None and (text > room or sum(others) > room * _OTHER_PARTS):
                told = room
            shown = sum(others) if told is None else sum(_fitting(others, told * _OTHER_PARTS))
            self._allotted[call_id] = (text if told is None else min(text, told)) + shown
        return told


def cut(output: Any, limit: int | None) -> Any:
    """Return an output with its text cut to so many bytes, and a note that says so.

    Of the SDK's structured outputs, images and files are told whole or not at all: a note stands in
    the place of each that is too large, or comes after too many others.
    """
    if limit is None:
        return output
    if isinstance(output, str):
        return _cut_text(output, limit)
    told = []
    room = limit * _OTHER_PARTS
    for part in _parts(output):
        if _is_text(part):
            text = part["text"]
            told.append({**part, "text": _cut_text(text, limit)})
            limit = max(0, limit - len(text.encode()))
            continue
        (size,) = _other_bytes(part)
        if size <= room:
            told.append(part)
            room -= size
        else:
            told.append({"type": "text", "text": _left_out(part, size, room)})
    return told


def _cut_text(text: str, limit: int) -> str:
    whole = text.encode()
    if len(whole) <= limit:
        return text
    shown = whole[:limit].decode(errors="ignore")
    return f"{shown}\n[Cut here: {limit} of {len(whole)} bytes are shown. Ask for less at a time.]"


def _left_out(part: Any, size: int, room: int) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    what = {"image": "An image", "file": "A file"}.get(str(kind), "A part")
    return f"[{what} of {size} bytes is left out here: there is room for {room}. Ask for less.]"


def _parts(output: Any) -> list[Any]:
    return output if isinstance(output, list) else [output]


def _text_bytes(output: Any) -> int:
    if isinstance(output, str):
        return len(output.encode())
    return sum(len(part["text"].encode()) for part in _parts(output) if _is_text(part))


def _other_bytes(output: Any) -> list[int]:
    """Return how many bytes of JSON each part comes to that is no text."""
    if isinstance(output, str):
        return []
    return [len(to_json(part)) for part in _parts(output) if not _is_text(part)]


def _fitting(sizes: Iterable[int], room: int) -> Iterator[int]:
    for size in sizes:
        if size <= room:
            room -= size
            yield size


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text"
