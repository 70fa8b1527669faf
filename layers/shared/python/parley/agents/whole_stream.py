"""A stream of Chat Completions that is whole, or fails."""

from __future__ import annotations

from typing import Any, Self

import httpx2
from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta

from parley.agents.wire import EndDecoder, chat_answer
from parley.runner.model_faults import TRIES, BadAnswer
from parley.runner.sdk_private import decoder_of


class WholeStream:
    """Gives a stream's chunks, and fails where it ends before its end, or badly.

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
            answer = chat_answer(self.response)
            if answer.fault is not None:
                raise answer.fault from None
            decoder = decoder_of(self._stream)
            if not (self._finished or (isinstance(decoder, EndDecoder) and decoder.done)):
                raise BadAnswer("the stream broke off before its end", tries=TRIES) from None
            if not (rest := answer.rest()):
                raise
            return _chunk(rest)
        self._finished |= any(choice.finish_reason for choice in chunk.choices or ())
        return chunk

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._stream.aclose()


def _chunk(delta: dict[str, Any]) -> ChatCompletionChunk:
    choice = Choice(index=0, delta=ChoiceDelta.model_validate(delta))
    return ChatCompletionChunk.construct(choices=[choice])
