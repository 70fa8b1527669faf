"""The summaries of the random schedules: each lists what the user said in its turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley_testing.models.notes import question_of
from parley_testing.models.scripted import Asked, Items, say

_HEAD = "The user said:"


def answer(asked: Asked) -> Items:
    """Answer as the model that summarises."""
    asks = question_of(asked)
    said = [turn["user"] for turn in asks["turns"]]
    return say("\n".join([_HEAD, *lines(asks["notes"]), *said]))


def lines(text: str | None) -> list[str]:
    """Return what the user said, as a summary lists it."""
    head, *said = (text or _HEAD).split("\n")
    assert head == _HEAD, f"notes of nobody: {text!r}"
    return said


def shown(item: Mapping[str, Any]) -> list[str] | None:
    """Return what the user said, as an item of the input lists it; None if it is no summary."""
    content = item.get("content")
    if not isinstance(content, str) or f"<summary_of_earlier_conversation>\n{_HEAD}" not in content:
        return None
    _, _, inside = content.partition("<summary_of_earlier_conversation>\n")
    return lines(inside.removesuffix("\n</summary_of_earlier_conversation>"))
