"""A model in the process that says what a test has it say, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from agents import Model, ModelProvider, ModelResponse, Usage
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputItem,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
)

INPUT_TOKENS = 5
OUTPUT_TOKENS = 3


@dataclass(frozen=True)
class Asked:
    """One call of the model: its name, its input as it was then, and the tools it may call."""

    model: str
    input: list[dict[str, Any]]
    tools: list[str]


Items = list[ResponseOutputItem]
Answer = Items | Exception | Callable[[], Awaitable[Items] | Items]
Script = Callable[[Asked], Answer]


def say(text: str) -> Items:
    """The model thinks, and says something."""
    return [
        ResponseReasoningItem(id="rs_1", type="reasoning", summary=[]),
        ResponseOutputMessage(
            id="msg_1",
            type="message",
            role="assistant",
            status="completed",
            content=[ResponseOutputText(type="output_text", text=text, annotations=[])],
        ),
    ]


def call(name: str, call_id: str = "call_1", /, **arguments: Any) -> Items:
    """The model calls a tool. Add two to have it call two at once."""
    return [
        ResponseFunctionToolCall(
            id="fc_1",
            type="function_call",
            call_id=call_id,
            name=name,
            arguments=json.dumps(arguments),
        )
    ]


def in_order(*answers: Answer) -> Script:
    """A script that gives one answer a call, whoever calls."""
    left = list(answers)
    return lambda asked: left.pop(0)


def by_model(scripts: Mapping[str, Script]) -> Script:
    """A script for each name of a model; agents that name none are asked as `default`."""
    return lambda asked: scripts[asked.model](asked)


class ScriptedProvider(ModelProvider):
    """Gives models that follow one script.

    Attributes:
        script: Takes a call and gives the answer, an error to raise, or a function to wait for.
        asked: The calls so far.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []

    def get_model(self, model_name: str | None) -> Model:
        return _Scripted(self, model_name or "default")


class _Scripted(Model):
    def __init__(self, provider: ScriptedProvider, name: str) -> None:
        self._provider = provider
        self._name = name

    async def get_response(
        self, system_instructions: Any, input: Any, model_settings: Any, tools: Any, *_: Any,
        **__: Any,
    ) -> ModelResponse:  # fmt: skip
        items = [{"role": "user", "content": input}] if isinstance(input, str) else input
        asked = Asked(self._name, deepcopy(list(items)), [tool.name for tool in tools])
        self._provider.asked.append(asked)
        answer: Any = self._provider.script(asked)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer()
        if isawaitable(answer):
            answer = await answer
        usage = Usage(
            requests=1,
            input_tokens=INPUT_TOKENS,
            output_tokens=OUTPUT_TOKENS,
            total_tokens=INPUT_TOKENS + OUTPUT_TOKENS,
        )
        return ModelResponse(answer, usage, response_id="resp_1")

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise AssertionError("the recorder asks for whole responses")
