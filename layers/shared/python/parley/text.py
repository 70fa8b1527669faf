"""Text, made storable where it enters."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json, to_json

_LONE = {code: "\N{REPLACEMENT CHARACTER}" for code in range(0xD800, 0xE000)}
_UNSTORABLE = {0: None, **_LONE}
# JSON allows them in a string, but much that reads lines takes them for the end of one.
_ENDS_OF_LINES = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# What could steer a terminal: control characters, and those that turn the direction of text.
_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_DEEPEST = 100
_BRACKETS = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[\]{}]', re.DOTALL)
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def storable(text: str) -> str:
    """Drop NULs, which Postgres refuses, and replace lone surrogates, which UTF-8 cannot carry.

    Two surrogates that make a character are that character: whoever cuts a text at any place, and
    sends each piece as JSON, cuts some characters in two.
    """
    if text.isascii() and "\0" not in text:
        return text
    return _PAIR.sub(_character, text).translate(_UNSTORABLE)


def _character(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


class Pieces:
    """Makes a text storable that comes piece by piece; a character may be cut in two."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, piece: str) -> str:
        """Return what can be told of the text so far and was not yet, when a piece has come."""
        text = self._held + piece
        cut = bool(text) and "\ud800" <= text[-1] <= "\udbff"
        self._held = text[-1] if cut else ""
        return storable(text[:-1] if cut else text)

    def rest(self) -> str:
        """Return what is left when no further piece comes."""
        held, self._held = self._held, ""
        return storable(held)


def storable_in_json(text: str) -> str:
    """Make the strings in a JSON text storable: what they escape is as unstorable as itself.

    A text that is no JSON is only made storable itself.
    """
    if _UNSTORABLE_ESCAPE.search(text) is None:
        return storable(text)
    try:
        value = json.loads(text)
    except ValueError:
        return storable(text)
    return json.dumps(storable_json(value), ensure_ascii=False)


def not_too_deep(text: str) -> str:
    """Return a JSON text, cut off where it nests deeper than 100 levels, so that it is no JSON.

    A model that goes in circles opens one bracket after the other. What reads JSON by recursion
    fails on it in the middle of its work, where a text that is no JSON is told of.
    """
    if text.count("[") + text.count("{") <= _DEEPEST:
        return text
    depth = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        if depth > _DEEPEST:
            return text[: token.end()]
    return text


def storable_json(value: Any) -> Any:
    """Make every string in a JSON value storable, keys included."""
    match value:
        case str():
            return storable(value)
        case dict():
            return {storable(key): storable_json(item) for key, item in value.items()}
        case list():
            return [storable_json(item) for item in value]
        case _:
            return value


def json_line(value: Any) -> bytes:
    """Return a value as JSON that is one line, whatever reads it takes for the end of one."""
    return as_line(to_json(value).decode())


def as_line(written: str) -> bytes:
    """Return JSON that is written already as one line."""
    return written.translate(_ENDS_OF_LINES).encode()


def jsonable(value: Any) -> Any:
    """Return a value as the storable JSON that it is, or its text where it is none, or too deep."""
    try:
        return storable_json(from_json(to_json(value)))
    except ValueError:  # of either: what one still writes is too deep for the other
        return storable(_written(value))


def _written(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # it nests some thousand levels deep, or has a `__str__` that fails
        kind, why = type(value).__name__, type(error).__name__
        return f"[This value, of type {kind}, cannot be written down: {why}.]"


def harmless(text: str) -> str:
    """Replace what could steer the terminal that a text is shown on; lines and tabs stay."""
    return _STEERS.sub("\N{REPLACEMENT CHARACTER}", text)
