"""The offline model's answers as streams: the events of OpenAI's Responses API, word by word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

from agents import ModelResponse
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from parley.runner.sdk_private import FAKE_RESPONSES_ID

_NOTHING = ResponseUsage(
    input_tokens=0,
    input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
    output_tokens=0,
    output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
    total_tokens=0,
)


async def streamed(
    given: ModelResponse, *, words_per_second: float | None
) -> AsyncIterator[TResponseStreamEvent]:
    """Stream an answer.

    Args:
        given: The answer: messages of one text, and calls of functions.
        words_per_second: How fast it is said; without a pause if None.

    Yields:
        The events that OpenAI's API sends. The last has the whole answer.
    """
    numbers = count()
    for kind, fields in _events(given):
        if kind is ResponseTextDeltaEvent and words_per_second is not None:
            await asyncio.sleep(1 / words_per_second)
        yield kind(sequence_number=next(numbers), **fields)


def _events(given: ModelResponse) -> Iterator[tuple[type[Any], dict[str, Any]]]:
    whole = Response(
        id=FAKE_RESPONSES_ID,
        created_at=0,
        model="offline",
        object="response",
        output=given.output,
        parallel_tool_calls=False,
        tool_choice="auto",
        tools=[],
        status="completed",
        usage=_NOTHING,
    )
    begun = whole.model_copy(update={"output": [], "status": "in_progress", "usage": None})
    yield ResponseCreatedEvent, {"type": "response.created", "response": begun}
    for place, item in enumerate(given.output):
        at = {"item_id": getattr(item, "id", None) or "", "output_index": place}
        if isinstance(item, ResponseOutputMessage):
            (part,) = item.content
            yield _added(place, item.model_copy(update={"content": [], "status": "in_progress"}))
            if isinstance(part, ResponseOutputText):
                yield from _said(part, at | {"content_index": 0})
        elif isinstance(item, ResponseFunctionToolCall):
            told = {"arguments": item.arguments, "name": item.name}
            kind = "response.function_call_arguments"
            yield _added(place, item.model_copy(update={"arguments": ""}))
            delta = {"type": f"{kind}.delta", "delta": item.arguments}
            yield ResponseFunctionCallArgumentsDeltaEvent, delta | at
            yield ResponseFunctionCallArgumentsDoneEvent, {"type": f"{kind}.done", **told} | at
        done = {"type": "response.output_item.done", "item": item, "output_index": place}
        yield ResponseOutputItemDoneEvent, done
    yield ResponseCompletedEvent, {"type": "response.completed", "response": whole}


def _added(place: int, item: Any) -> tuple[type[Any], dict[str, Any]]:
    added = {"type": "response.output_item.added", "item": item, "output_index": place}
    return ResponseOutputItemAddedEvent, added


def _said(
    part: ResponseOutputText, at: dict[str, Any]
) -> Iterator[tuple[type[Any], dict[str, Any]]]:
    kind = "response.content_part"
    empty = part.model_copy(update={"text": ""})
    yield ResponseContentPartAddedEvent, {"type": f"{kind}.added", "part": empty} | at
    for word in re.findall(r"\S+\s*|\s+", part.text):
        delta = {"type": "response.output_text.delta", "delta": word, "logprobs": []}
        yield ResponseTextDeltaEvent, delta | at
    done = {"type": "response.output_text.done", "text": part.text, "logprobs": []}
    yield ResponseTextDoneEvent, done | at
    yield ResponseContentPartDoneEvent, {"type": f"{kind}.done", "part": part} | at
