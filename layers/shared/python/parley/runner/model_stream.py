"""Asking a model for its answer piece by piece, and telling the pieces.

The run is the same as without: the runner is given the whole answer in the end.
Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from agents import ModelResponse, Usage

from parley.runner.model_faults import TRIES, BadAnswer, ended_with
from parley.runner.sdk_private import FAKE_RESPONSES_ID
from parley.text import Pieces

_DRAIN_SECONDS = 1.0


async def streamed(events: AsyncIterator[Any], tell: Callable[[str], None]) -> ModelResponse:
    """Read a model's answer to its end.

    Args:
        events: As `Model.stream_response` gives them.
        tell: Is told each piece of text as it comes.

    Raises:
        BadAnswer: The model failed, or ended without an answer.
    """
    finished: list[Any] = []
    said = Pieces()
    async with _closing(events):
        async for event in events:
            match getattr(event, "type", None):
                case "response.output_text.delta" | "response.refusal.delta":
                    _tell(said.add(event.delta), tell)
                case "response.output_text.done" | "response.refusal.done":
                    _tell(said.rest(), tell)
                case "response.output_item.done":
                    finished.append(event.item)
                case "response.completed":
                    _tell(said.rest(), tell)
                    await _drain(events)
                    return _whole(event.response, finished)
                case "response.incomplete" | "response.failed" as kind:
                    raise _ended(kind.removeprefix("response."), event.response)
                case "response.error" | "error":
                    raise BadAnswer("it ended with an error", event)
    raise BadAnswer("the stream ended without an answer", tries=TRIES)


def _tell(text: str, tell: Callable[[str], None]) -> None:
    if text:
        tell(text)


@asynccontextmanager
async def _closing(events: AsyncIterator[Any]) -> AsyncIterator[None]:
    """Close the stream at once, however it is left; a model may also give a plain iterator."""
    try:
        yield
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def _drain(events: AsyncIterator[Any]) -> None:
    """Read what is left, so that the connection can be used again; there is seldom anything."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in events:
                pass


def _ended(status: str, response: Any) -> BadAnswer:
    why = getattr(response, "incomplete_details", None)
    usage = _usage(response)
    tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    reason = getattr(why, "reason", None)
    return ended_with(status, getattr(response, "error", None), reason, tokens)


def _whole(response: Any, finished: list[Any]) -> ModelResponse:
    # Some servers leave the last event's output empty.
    output = getattr(response, "output", None) or finished
    response_id = getattr(response, "id", None)
    # The SDK makes one up where the API has none.
    known = None if response_id == FAKE_RESPONSES_ID else response_id
    return ModelResponse(output=output, usage=_usage(response), response_id=known)


def _usage(response: Any) -> Usage:
    # Some servers send none.
    tokens = getattr(response, "usage", None)
    return Usage(
        requests=1,
        input_tokens=getattr(tokens, "input_tokens", None) or 0,
        output_tokens=getattr(tokens, "output_tokens", None) or 0,
        total_tokens=getattr(tokens, "total_tokens", None) or 0,
    )


def text_of(output: Iterable[dict[str, Any]]) -> str:
    """Return the text of all messages in a recorded answer, a refusal's words included."""
    messages = (item for item in output if item.get("type") == "message")
    parts = (part for message in messages for part in message.get("content") or ())
    return "".join(
        part.get("text" if part.get("type") == "output_text" else "refusal") or ""
        for part in parts
        if part.get("type") in ("output_text", "refusal")
    )
