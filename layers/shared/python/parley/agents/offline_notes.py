"""The offline model's summaries: the beginnings of what the user said, the newest of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from openai.types.responses import ResponseOutputMessage

from parley.agents.answer_items import message

_HEAD = "[offline model] The user said:"
_LINES = 100
_LINE_CHARS = 100


def notes_of(asked: Mapping[str, Any]) -> ResponseOutputMessage:
    """Answer a question for a summary."""
    before = (asked["notes"] or "").removeprefix(_HEAD).split("\n")
    lines = [line for line in (*before, *_lines(asked["turns"])) if line.strip()]
    return message("\n".join([_HEAD, *lines[-_LINES:]]), id=f"msg_{uuid4().hex}")


def _lines(turns: list[Any]) -> Iterator[str]:
    for turn in turns:
        if said := " ".join(str(turn.get("user", "")).split()):
            yield f"- {said[:_LINE_CHARS]}"
