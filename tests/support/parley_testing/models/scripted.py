"""A model in the process that says what a test has it say, and keeps what it was asked.

It streams too: what `say` and `call` give comes word by word; `Streamed` (see `model_steps`) says
what comes when, at which gates the model waits and how the stream ends:

    gate = Gate()
    provider = ScriptedProvider(in_order(Streamed("Hel", "lo ", gate, "there")))
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from inspect import isawaitable
from typing import Any

import httpx2
from agents import Model, ModelProvider, ModelResponse, Usage
from agents.exceptions import ModelBehaviorError
from openai import APIConnectionError
from openai.types.responses import (
    Response,
    ResponseOutputItem,
    ResponseReasoningItem,
    ResponseStreamEvent,
)
from pydantic import TypeAdapter

from parley.agents.answer_items import function_call, message
from parley_testing.models.steps import Gate, Streamed
from parley_testing.models.stream import response_events

__all__ = [
    "INPUT_TOKENS",
    "OUTPUT_TOKENS",
    "Answer",
    "Asked",
    "Gate",
    "Items",
    "Script",
    "ScriptedProvider",
    "Streamed",
    "by_model",
    "call",
    "in_order",
    "say",
]

INPUT_TOKENS = 5
OUTPUT_TOKENS = 3
RESPONSE_ID = "resp_1"


@dataclass(frozen=True)
class Asked:
    """One call of the model: its name, its input as it was then, and the tools it may call."""

    model: str
    input: list[dict[str, Any]]
    tools: list[str]
    streamed: bool = False


Items = list[ResponseOutputItem]
Answer = Items | Streamed | Exception | Callable[[], Awaitable[Items | Streamed] | Items | Streamed]
Script = Callable[[Asked], Answer]


def say(text: str) -> Items:
    """The model thinks, and says something."""
    thought = ResponseReasoningItem(id="rs_1", type="reasoning", summary=[])
    return [thought, message(text, id="msg_1")]


def call(name: str, call_id: str = "call_1", /, **arguments: Any) -> Items:
    """The model calls a tool. Add two to have it call two at once."""
    return [function_call(name, json.dumps(arguments), call_id=call_id, id="fc_1")]


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
        self,
        system_instructions: Any,
        input: Any,
        model_settings: Any,
        tools: Any,
        *_: Any,
        **__: Any,
    ) -> ModelResponse:
        answer = await self._answer(input, tools, streamed=False)
        if isinstance(answer, Streamed):
            for part in answer.parts:
                match part:
                    case Gate():
                        await part.wait()
                    case Exception():
                        raise part
            if answer.end != "completed":
                raise _broken(answer)
        return ModelResponse(_items(answer), _usage(), response_id=RESPONSE_ID)

    async def stream_response(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: Any,
        tools: Any,
        *_: Any,
        **__: Any,
    ) -> AsyncIterator[Any]:
        answer = await self._answer(input, tools, streamed=True)
        output = [item.model_dump(mode="json", exclude_unset=True) for item in _items(answer)]
        streamed = answer if isinstance(answer, Streamed) else None
        said = streamed.parts if streamed else None
        end = streamed.end if streamed else "completed"
        for happening in response_events(_whole(output), said, end):
            match happening:
                case Gate():
                    await happening.wait()
                case Exception():
                    raise happening
                case bytes():
                    raise TypeError("there is no wire within a process")
                case event:
                    yield _events().validate_python(event)
        if streamed and end not in ("completed", "nothing"):
            raise _broken(streamed)

    async def _answer(self, input: Any, tools: Any, *, streamed: bool) -> Any:
        items = [{"role": "user", "content": input}] if isinstance(input, str) else input
        names = [tool.name for tool in tools]
        asked = Asked(self._name, deepcopy(list(items)), names, streamed)
        self._provider.asked.append(asked)
        answer: Any = self._provider.script(asked)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer()
        if isawaitable(answer):
            answer = await answer
        return answer


@cache
def _events() -> TypeAdapter[ResponseStreamEvent]:
    return TypeAdapter(ResponseStreamEvent)


def _items(answer: Items | Streamed) -> Items:
    if not isinstance(answer, Streamed):
        return answer
    said = say(answer.text) if answer.text or not answer.calls else []
    calls = [item for one in answer.calls for item in call(one.name, one.call_id, **one.arguments)]
    return said + calls


def _usage() -> Usage:
    return Usage(
        requests=1,
        input_tokens=INPUT_TOKENS,
        output_tokens=OUTPUT_TOKENS,
        total_tokens=INPUT_TOKENS + OUTPUT_TOKENS,
    )


def _whole(output: list[dict[str, Any]]) -> dict[str, Any]:
    whole = Response(
        id=RESPONSE_ID,
        created_at=0,
        model="scripted",
        object="response",
        output=[],
        parallel_tool_calls=True,
        status="completed",
        tool_choice="auto",
        tools=[],
    )
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return whole.model_dump(mode="json") | {"output": output, "usage": usage}


def _broken(answer: Streamed) -> Exception:
    """Return what the SDK's models raise for such an end."""
    match answer.end:
        case "cut":
            return APIConnectionError(request=httpx2.Request("POST", "http://scripted"))
        case "nothing":
            return ModelBehaviorError("Model did not produce a final response!")
    kind = "error" if answer.end == "error" else f"response.{answer.end}"
    return ModelBehaviorError(f"Responses stream ended with terminal event `{kind}`.")
