"""What a request's body may be, before anybody looks at its fields."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn

from parley.http.problems import BodyTooLarge, MalformedBody, UnsupportedMediaType
from parley.text import storable_json

CHAR_MAX_BYTES = 12
"""The most bytes that a character takes in JSON: beyond U+FFFF it may be two `\\u` escapes."""

ROOM_BYTES = 128 * 1024
"""What a body may have besides its texts: metadata of 16 KB in escapes, names, spaces."""

VALUES_MAX = 10_000
"""How many values a body may hold, more than its metadata can. Each costs time to look at: of
those that fit in a body of texts, seconds."""

HISTORY_MAX_BYTES = 4 * 1024 * 1024
"""How many bytes a front end's request may have, which brings the whole conversation each time:
Lambda takes 6 MB of an event."""

HISTORY_VALUES_MAX = 100_000
"""How many values it may hold."""

_TEXTS = re.compile(r'"(?:[^"\\]++|\\(?:.|\Z))*+(?:"|\Z)', re.DOTALL)

NESTING_MAX = 100
"""How deep a body may be nested: far below where writing it as JSON again would fail."""

JSON_TYPE = "application/json"


def body_max_bytes(chars: int) -> int:
    """Return how many bytes a body may have whose texts may have so many characters together."""
    return ROOM_BYTES + CHAR_MAX_BYTES * chars


def body_refusal(event: Mapping[str, Any], max_bytes: int) -> Exception | None:
    """Return why a body is not taken, before it is read: what it says that it is, and its size."""
    body = event.get("body") or ""
    media_type = _media_type(event)
    if body and media_type not in ("", JSON_TYPE):
        return UnsupportedMediaType(media_type)
    try:
        size = _size(event)
    except ValueError as error:
        return MalformedBody(str(error))
    return BodyTooLarge(max_bytes, "bytes") if size > max_bytes else None


def read_json(body: str, values_max: int = VALUES_MAX) -> Any:
    """Return what a body holds, with text that can be stored.

    Args:
        body: The body.
        values_max: How many values it may hold.

    Raises:
        MalformedBody: It is not JSON, or nested too deep.
        BodyTooLarge: It holds more values than any request needs.
    """
    _refuse_many(body, values_max)
    try:
        value = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
        _refuse_shape(value, values_max)
        return storable_json(value)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(str(error)) from error


def _size(event: Mapping[str, Any]) -> int:
    """Count the body's bytes.

    Raises:
        ValueError: They are not text in UTF-8.
    """
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return len(body.encode())
    decoded = b64decode(body, validate=True)
    decoded.decode()
    return len(decoded)


def _media_type(event: Mapping[str, Any]) -> str:
    headers = event.get("headers") or {}
    given = [value for name, value in headers.items() if name.lower() == "content-type"]
    return (given[0] or "").partition(";")[0].strip().lower() if given else ""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _refuse_many(body: str, values_max: int) -> None:
    """Refuse by its punctuation what holds too many values, before any of them is made."""
    if _opened(body) > 2 * values_max and _opened(_TEXTS.sub("", body)) > 2 * values_max:
        raise BodyTooLarge(values_max, "values")


def _opened(body: str) -> int:
    # Of n values none can have more than one comma behind it and one bracket of its own.
    return body.count(",") + body.count("[") + body.count("{")


def _refuse_shape(value: Any, values_max: int) -> None:
    level, values = [value], 1
    for _ in range(NESTING_MAX + 1):  # below the deepest list there is only what it holds
        level = [
            part
            for whole in level
            if isinstance(whole, dict | list)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]
        if not level:
            return
        values += len(level)
        if values > values_max:
            raise BodyTooLarge(values_max, "values")
    raise ValueError(f"nested more than {NESTING_MAX} deep")
