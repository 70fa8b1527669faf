"""Text, made storable where it enters."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

_LONE = {code: "\N{REPLACEMENT CHARACTER}" for code in range(0xD800, 0xE000)}
_UNSTORABLE = {0: None, **_LONE}
# JSON allows them in a string, but much that reads lines takes them for the end of one.
_ENDS_OF_LINES = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


def storable(text: str) -> str:
    """Drop NULs, which Postgres refuses, and replace lone surrogates, which UTF-8 cannot carry."""
    if text.isascii() and "\0" not in text:
        return text
    return text.translate(_UNSTORABLE)


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
    return to_json(value).decode().translate(_ENDS_OF_LINES).encode()


def jsonable(value: Any) -> Any:
    """Give a value as the storable JSON that it is, or its text where it is none."""
    try:
        return storable_json(from_json(to_json(value)))
    except PydanticSerializationError:
        return storable(str(value))
