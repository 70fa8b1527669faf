"""How much of one answer of a model is read, and how much of it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.runner.model_faults import BadAnswer

MOST_CALLS = 1_000
"""The most tool calls in one answer; a model that makes more goes in circles."""

LINE_BYTES = 32
"""What a line of a stream counts beyond its bytes: to read it costs time, were it empty."""

_SAID = ("content", "summary", "text", "refusal", "thinking", "arguments", "input")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is read of one answer follows from what may be kept of it.

    Attributes:
        chars: Characters of its texts, its thoughts and the arguments of its calls together.
    """

    chars: int

    @property
    def whole_bytes(self) -> int:
        """Bytes of a whole answer, or of one event of a stream, which is held in memory at once.

        JSON may take 6 bytes for a character; there is room for what stands around the texts.
        """
        return 8 * self.chars

    @property
    def stream_bytes(self) -> int:
        """Bytes of a stream, which are not kept: some 300 frame each token, and some tell nothing.

        128,000 tokens of 4 characters are 40 to 100 MB.
        """
        return 64 * self.chars


class Kept:
    """Counts what is kept of one answer."""

    def __init__(self, bounds: Bounds) -> None:
        self._limit = bounds.chars
        self._chars = 0
        self._calls = 0

    def add(self, said: Any) -> None:
        """Count what was said.

        Args:
            said: A text, or an item or a list of items with texts.

        Raises:
            BadAnswer: It is too much.
        """
        self._chars += _size(said)
        if self._chars > self._limit:
            raise too_long(f"{self._limit} characters (MODEL_ANSWER_MAX_CHARS)")

    def add_call(self) -> None:
        """Count a tool call.

        Raises:
            BadAnswer: There are too many.
        """
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise BadAnswer(f"it makes more than {MOST_CALLS} tool calls", tries=1)


def too_long(limit: str) -> BadAnswer:
    """Say that an answer is longer than a limit; the same question would have the same answer."""
    return BadAnswer(f"it is longer than {limit}", tries=1)


def _size(said: Any) -> int:
    match said:
        case str():
            return len(said)
        case list():
            return sum(map(_size, said))
        case Mapping():
            return sum(_size(said[key]) for key in _SAID if key in said)
        case _:
            return 0
