"""The offline model: a small rule-based stand-in, so that everything runs without a model key.

It really calls the agent's tools, by the rules that the project names (`parley.stand_in`), or else
by the tools' names. It says in every reply that it is the offline model.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import uuid4

from agents import Model, ModelProvider, ModelResponse, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage

from parley.agents.answer_items import function_call, message
from parley.agents.offline_notes import notes_of
from parley.agents.offline_rules import answer as generic
from parley.agents.offline_stream import streamed
from parley.agents.own_rules import ruled
from parley.runner.summary_prompt import INSTRUCTIONS, asked_in
from parley.stand_in import Asked, ToolCall

NAME = "offline model"
MODEL = "offline"


class OfflineProvider(ModelProvider):
    """Gives the offline model, whatever model an agent names."""

    def __init__(self, words_per_second: float | None = None) -> None:
        self._words_per_second = words_per_second

    def get_model(self, model_name: str | None) -> Model:
        """Return the model."""
        return OfflineModel(self._words_per_second)


class OfflineModel(Model):
    """Answers by rules.

    Args:
        words_per_second: How fast it speaks when it streams; at once if None.
    """

    model = MODEL

    def __init__(self, words_per_second: float | None = None) -> None:
        self._words_per_second = words_per_second

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: Any,
        tools: Any,
        output_schema: Any,
        handoffs: Any,
        tracing: Any,
        *,
        previous_response_id: Any,
        conversation_id: Any,
        prompt: Any,
    ) -> ModelResponse:
        items = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
        said = max(place for place, item in enumerate(items) if item.get("role") == "user")
        if system_instructions == INSTRUCTIONS and (asked := asked_in(_text(items[said]))):
            return ModelResponse([notes_of(asked)], Usage(requests=1), response_id=None)
        names = frozenset(tool.name for tool in tools)
        calls = list(_calls(items[said:]))
        done = tuple(zip((each.name for each in calls), _given(items[said:]), strict=False))
        asked_now = Asked(_text(items[said]), names, done, tuple(_given(items[:said])))
        known = names.union(handoff.tool_name for handoff in handoffs)
        answer = ruled(asked_now, known, calls)
        if answer is None:
            answer = generic(asked_now, tools)
        return ModelResponse([_output(answer)], Usage(requests=1), response_id=None)

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Yield what `get_response` gives, word by word."""
        given = await self.get_response(*args, **kwargs)
        async for event in streamed(given, words_per_second=self._words_per_second):
            yield event


def _text(item: Any) -> str:
    content = item["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _calls(items: Sequence[Any]) -> Iterator[ToolCall]:
    for item in items:
        if item.get("type") == "function_call":
            yield ToolCall(item["name"], _read(item["arguments"]))


def _given(items: Sequence[Any]) -> Iterator[Any]:
    for item in items:
        if item.get("type") == "function_call_output":
            yield _read(item["output"])


def _read(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _output(answer: str | ToolCall) -> ResponseFunctionToolCall | ResponseOutputMessage:
    if isinstance(answer, ToolCall):
        return function_call(
            answer.name, json.dumps(answer.arguments), call_id=f"call_{uuid4().hex}"
        )
    return message(f"[{NAME}] {answer}", id=f"msg_{uuid4().hex}")
