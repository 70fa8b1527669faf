"""A stream of Chat Completions that is whole, or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import httpx2
from agents.exceptions import ModelBehaviorError
from openai import AsyncStream
from openai._streaming import ServerSentEvent, SSEDecoder

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk


class EndDecoder(SSEDecoder):
    """Decodes server-sent events, and keeps whether the stream said that it is done."""

    done = False

    def decode(self, line: str) -> ServerSentEvent | None:
        """Decode a line; give the event that it ends."""
        event = super().decode(line)
        if event is not None and event.data.startswith("[DONE]"):
            self.done = True
        return event


class WholeStream:
    """Gives a stream's chunks, and fails where it ends before its end.

    A proxy or a server that breaks off may close the connection properly: to the SDK, half a
    message is then the whole. Servers are lenient in how they end, so a finish reason will do, and
    so will `[DONE]`.
    """

    def __init__(self, stream: AsyncStream[ChatCompletionChunk]) -> None:
        self._stream = stream
        self._finished = False

    @property
    def response(self) -> httpx2.Response:
        """The HTTP response."""
        return self._stream.response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            decoder = self._stream._decoder
            if not (self._finished or (isinstance(decoder, EndDecoder) and decoder.done)):
                raise ModelBehaviorError("the stream broke off before its end") from None
            raise
        self._finished |= any(choice.finish_reason for choice in chunk.choices or ())
        return chunk

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._stream.aclose()
