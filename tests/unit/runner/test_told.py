"""What the model is told of a tool's value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from agents import ToolOutputImage, ToolOutputText
from pydantic import BaseModel

from parley.runner.told import as_text, told


class Weather(BaseModel):
    city: str


@dataclass
class Place:
    city: str


AS_IT_IS: dict[str, tuple[Any, Any]] = {
    "text": ("ok", "ok"),
    "text that looks like JSON": ("7", "7"),
    "text that cannot be stored": ("a\0b\ud800", "ab\N{REPLACEMENT CHARACTER}"),
    "id": (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
    "time": (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
    "the SDK's text": (ToolOutputText(text="hi"), {"type": "text", "text": "hi"}),
    "a file as a dictionary": (
        {"type": "file", "file_id": "f1"},
        {"type": "file", "file_id": "f1"},
    ),
}

AS_JSON: dict[str, tuple[Any, str]] = {
    "model": (Weather(city="Oslo"), '{"city":"Oslo"}'),
    "dataclass": (Place("Oslo"), '{"city":"Oslo"}'),
    "list": ([Place("Oslo"), 7], '[{"city":"Oslo"},7]'),
    "nothing": (None, "null"),
    "number": (7, "7"),
    "empty list": ([], "[]"),
    "a tool's own file": ({"type": "file", "name": "a.txt"}, '{"type":"file","name":"a.txt"}'),
    "more than a text": (
        {"type": "text", "text": "hi", "score": 3},
        '{"type":"text","text":"hi","score":3}',
    ),
    "an image without one": ({"type": "image"}, '{"type":"image"}'),
    "one of two": (
        [{"type": "text", "text": "hi"}, {"type": "folder"}],
        '[{"type":"text","text":"hi"},{"type":"folder"}]',
    ),
}


@pytest.mark.parametrize(("value", "words"), AS_IT_IS.values(), ids=AS_IT_IS)
def test_text_and_the_sdk_s_structured_outputs_are_told_as_they_are(value: Any, words: Any) -> None:
    assert told(value) == (words, False)


def test_an_image_among_texts_is_told_with_them() -> None:
    output, is_json = told([ToolOutputText(text="hi"), ToolOutputImage(image_url="data:,")])

    assert [part["type"] for part in output] == ["text", "image"]
    assert not is_json


@pytest.mark.parametrize(("value", "text"), AS_JSON.values(), ids=AS_JSON)
def test_anything_else_is_told_as_json_of_which_it_can_be_made_again(value: Any, text: str) -> None:
    assert told(value) == (text, True)


@pytest.mark.parametrize(("value", "text"), [("ok", "ok"), (Place("Oslo"), '{"city":"Oslo"}')])
def test_a_reply_is_text(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_structured_outputs_are_json_in_a_reply() -> None:
    assert as_text({"type": "text", "text": "hi"}) == '{"type":"text","text":"hi"}'
