"""How much of one answer of a model is read, and how much of it is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.runner.model_faults import BadAnswer

MOST_CALLS = 1_000
"""The most tool calls in one answer; a model that makes more goes in circles."""

LINE_BYTES = 32
"""What a line of a stream counts beyond its bytes: to read it costs time, were it empty."""

MOST_VALUES = 500_000
"""The most values in one JSON document, and in all that is kept of one answer.

An empty object takes 3 bytes on the wire and some 85 in memory, 600 where the client makes a model
of it: 16 MB of them were beyond what a function has. An answer has some values for each of its
items, none for the tokens of a text, and 170 a token with 20 of its alternatives (`top_logprobs`).
"""

DEEPEST = 200
"""The most levels that one JSON document may nest; what reads it by recursion fails beyond."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")

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
        self._values = 0

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

    def add_values(self, item: Any) -> None:
        """Count the values in what is kept whole, known fields and others.

        Raises:
            BadAnswer: There are too many.
        """
        waiting = [item]
        while waiting:
            value = waiting.pop()
            self._values += 1
            if self._values > MOST_VALUES:
                raise _too_many_values()
            if isinstance(value, Mapping):
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value

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


def require_small(document: bytes) -> None:
    """Let only a JSON document be read that has not too many values, and not too many levels.

    Raises:
        BadAnswer: It has.
    """
    if _brackets_and_commas(document) <= DEEPEST:
        return
    bare = _STRING.sub(b"", document)
    if _brackets_and_commas(bare) > MOST_VALUES:
        raise _too_many_values()
    depth = 0
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEEPEST:
            raise BadAnswer(f"it nests more than {DEEPEST} levels deep", tries=1)


def _brackets_and_commas(document: bytes) -> int:
    return sum(map(document.count, (b"{", b"[", b",")))


def _too_many_values() -> BadAnswer:
    return BadAnswer(f"it holds more than {MOST_VALUES} values", tries=1)


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
