"""Asking a model for its answer piece by piece, and telling the pieces.

The run is the same as without: the runner is given the whole answer in the end.
Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from agents import ModelBehaviorError, ModelResponse, Usage
from agents.models.fake_id import FAKE_RESPONSES_ID

from parley.text import storable

_DRAIN_SECONDS = 1.0


async def streamed(events: AsyncIterator[Any], tell: Callable[[str], None]) -> ModelResponse:
    """Read a model's answer to its end.

    Args:
        events: As `Model.stream_response` gives them.
        tell: Is told each piece of text as it comes.

    Raises:
        ModelBehaviorError: The model failed, or ended without an answer.
    """
    finished: list[Any] = []
    async with _closing(events):
        async for event in events:
            match getattr(event, "type", None):
                case "response.output_text.delta":
                    tell(storable(event.delta))
                case "response.output_item.done":
                    finished.append(event.item)
                case "response.completed":
                    await _drain(events)
                    return _whole(event.response, finished)
                case "response.incomplete" | "response.failed" | "response.error" | "error" as kind:
                    raise ModelBehaviorError(f"the stream ended with {kind}")
    raise ModelBehaviorError("the stream ended without an answer")


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


def _whole(response: Any, finished: list[Any]) -> ModelResponse:
    # Some servers leave the last event's output empty, and some send no usage.
    tokens = getattr(response, "usage", None)
    usage = Usage(
        requests=1,
        input_tokens=getattr(tokens, "input_tokens", None) or 0,
        output_tokens=getattr(tokens, "output_tokens", None) or 0,
        total_tokens=getattr(tokens, "total_tokens", None) or 0,
    )
    output = getattr(response, "output", None) or finished
    response_id = getattr(response, "id", None)
    # The SDK makes one up where the API has none.
    known = None if response_id == FAKE_RESPONSES_ID else response_id
    return ModelResponse(output=output, usage=usage, response_id=known)


def text_of(output: Iterable[dict[str, Any]]) -> str:
    """Give the text of all messages in a recorded answer."""
    messages = (item for item in output if item.get("type") == "message")
    parts = (part for message in messages for part in message.get("content") or ())
    return "".join(part.get("text") or "" for part in parts if part.get("type") == "output_text")
