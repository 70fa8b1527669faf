"""The offline model streams what it would have answered."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from parley.agents.offline import OfflineModel, OfflineProvider
from parley.agents.provider import model_provider
from parley.config import Settings


async def stream(said: str, *, words_per_second: float | None = None) -> list[Any]:
    model: Any = OfflineProvider(words_per_second).get_model(None)
    events = model.stream_response(
        *(None, [{"role": "user", "content": said}], None),
        *([SimpleNamespace(name="add_task")], None, [], None),
        previous_response_id=None,
        conversation_id=None,
        prompt=None,
    )
    return [event async for event in events]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are made, each without any time passing."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


async def test_a_reply_comes_word_by_word(pauses: list[float]) -> None:
    events = await stream("help")

    whole = events[-1].response.output[0].content[0].text
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert whole.startswith("[offline model] I understand: add …, add … to that task, ")
    assert "".join(deltas) == whole
    assert deltas[:4] == ["[offline ", "model] ", "I ", "understand: "]
    assert [event.type for event in events if not event.type.endswith(".delta")] == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert pauses == []


async def test_a_call_comes_whole_at_the_end() -> None:
    events = await stream("add buy milk")

    (call,) = events[-1].response.output
    assert (events[-1].type, call.name) == ("response.completed", "add_task")
    assert json.loads(call.arguments)["title"] == "buy milk"
    assert not any(event.type == "response.output_text.delta" for event in events)


async def test_it_speaks_as_fast_as_it_is_told(pauses: list[float]) -> None:
    events = await stream("help", words_per_second=20)

    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert pauses == [0.05] * len(deltas)


def test_the_setting_reaches_the_model() -> None:
    settings = Settings(offline_model=True, offline_model_words_per_second=30)

    model = model_provider(settings).get_model(None)

    assert isinstance(model, OfflineModel)
    assert model._words_per_second == 30
