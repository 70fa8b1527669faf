"""What the model is told of a value that a tool gives.

Text is told as it is, and so are the SDK's structured outputs; anything else as JSON, where the
SDK would tell Python's own notation. Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from parley.runner.sdk_private import STRUCTURED_OUTPUT
from parley.text import jsonable


def told(value: Any) -> tuple[Any, bool]:
    """Return what the model is told of a tool's value, in this attempt and in every replay.

    Returns:
        Text, or the SDK's structured outputs; and whether the text is the value's JSON, from which
        the value can be made again.
    """
    given = jsonable(value)
    if isinstance(given, str) or _structured(given):
        return given, False
    return to_json(given).decode(), True


def as_text(value: Any) -> str:
    """Return a value as a reply holds it: text as it is, anything else as JSON."""
    given = jsonable(value)
    return given if isinstance(given, str) else to_json(given).decode()


def _structured(given: Any) -> bool:
    parts = given if isinstance(given, list) else [given]
    return bool(parts) and all(_is_part(part) for part in parts)


def _is_part(part: Any) -> bool:
    """Tell whether the SDK takes a value for a structured output, and loses nothing of it.

    A tool's own `{"type": "file", "name": …}` is none; nor is one with a field that the SDK would
    leave out.
    """
    if not isinstance(part, dict) or "type" not in part:
        return False
    try:
        model = STRUCTURED_OUTPUT.validate_python(part)
    except ValidationError:
        return False
    return part.keys() <= type(model).model_fields.keys()
