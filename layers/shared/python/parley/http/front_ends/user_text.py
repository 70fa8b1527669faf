"""The newest message of the user in a history that a front end sends with each request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parley.errors import InvalidField

NOT_IN_IT = ("file", "image", "audio", "video", "document", "binary")
"""The kinds of parts that hold what no turn takes yet."""


def newest_of_user(messages: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the place of the user's newest message; None if there is none."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place].get("role") == "user":
            return place
    return None


def text_of(content: object) -> str:
    """Return what a message says: a text, or parts of which some are text.

    Raises:
        InvalidField: It holds something else, which is not to be passed over in silence.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidField("messages", "the newest message of the user holds no text")
    texts: list[str] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in NOT_IN_IT:
            raise InvalidField("messages", f"a part of type {kind} is not supported, only text is")
        text = part.get("text") if kind == "text" else None
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)


def texts_of(message: Mapping[str, Any]) -> frozenset[str]:
    """Return the texts among a message's parts."""
    parts = message.get("parts")
    found = (part.get("text") for part in parts or () if isinstance(part, dict))
    return frozenset(text for text in found if isinstance(text, str))
