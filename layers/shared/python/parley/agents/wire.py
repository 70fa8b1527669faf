"""What a model's server sends, on its way from the wire to the SDK.

Everything that depends on private attributes of OpenAI's client for this stands here. Read in
openai 3.51: the client builds every answer, every chunk and every event in
`_process_response_data`, from the JSON as it came.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, cast

import httpx2
from openai._streaming import ServerSentEvent, SSEDecoder

from parley.agents.bounds import LINE_BYTES, Bounds, too_long
from parley.agents.chat_answers import ChatAnswer
from parley.agents.response_answers import ResponseAnswer
from parley.turns.model_faults import BrokenOff

_ANSWER = "parley.answer"
_BOUNDS = "parley.bounds"


def mended(data: object, kind: object, response: httpx2.Response) -> object:
    """Mend what came, by what it is to become; what is none of the two APIs' stays as it is.

    Raises:
        BadAnswer: It is a whole answer that is none.
    """
    if not isinstance(data, Mapping):
        return data
    match getattr(kind, "__name__", None):
        case "ChatCompletion":
            return chat_answer(response).whole(data)
        case "ChatCompletionChunk":
            return chat_answer(response).chunk(data)
        case "Response":
            return _response_answer(response).whole(data)
    if str(data.get("type")).startswith("response."):
        return _response_answer(response).event(data)
    return data


def chat_answer(response: httpx2.Response) -> ChatAnswer:
    """Give the answer of Chat Completions that comes in with an HTTP response."""
    answer = response.extensions.get(_ANSWER)
    if answer is None:
        answer = response.extensions[_ANSWER] = ChatAnswer(response.extensions[_BOUNDS])
    return cast("ChatAnswer", answer)


def _response_answer(response: httpx2.Response) -> ResponseAnswer:
    answer = response.extensions.get(_ANSWER)
    if answer is None:
        answer = response.extensions[_ANSWER] = ResponseAnswer(response.extensions[_BOUNDS])
    return cast("ResponseAnswer", answer)


class EndDecoder(SSEDecoder):
    """Decodes server-sent events.

    It keeps whether the stream said that it is done, and tells a connection that broke in the
    middle of an answer from one that could not be made.
    """

    done = False

    def __init__(self, bounds: Bounds) -> None:
        """Keep how much of one event is held in memory."""
        super().__init__()
        self._limit = bounds.whole_bytes
        self._held = 0

    def decode(self, line: str) -> ServerSentEvent | None:
        """Decode a line; give the event that it ends."""
        event = super().decode(line)
        if not line:
            self._held = 0
        if event is not None and event.data.startswith("[DONE]"):
            self.done = True
        return event

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Give the events of what is read."""
        try:
            async for event in super().aiter_bytes(self._bounded(iterator)):
                yield event
        except httpx2.RequestError as error:
            raise BrokenOff(request=error.request) from error

    async def _bounded(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in iterator:
            self._held += len(part)
            if self._held > self._limit:
                raise too_long(f"{self._limit} bytes in one event (8 * MODEL_ANSWER_MAX_CHARS)")
            yield part


def bounded(bounds: Bounds) -> Callable[[httpx2.Response], Any]:
    """Make a hook that lets nobody read more of a response than may be."""

    async def hook(response: httpx2.Response) -> None:
        response.extensions[_BOUNDS] = bounds
        read, read_whole = response.aiter_bytes, response.aread
        limit, line_bytes = bounds.stream_bytes, LINE_BYTES

        async def bounded_bytes(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
            total = 0
            async for part in read(chunk_size):
                total += len(part) + line_bytes * part.count(b"\n")
                if total > limit:
                    times = limit // bounds.chars
                    raise too_long(f"{limit} bytes ({times} * MODEL_ANSWER_MAX_CHARS)")
                yield part

        async def bounded_whole() -> bytes:
            nonlocal limit, line_bytes
            limit, line_bytes = bounds.whole_bytes, 0
            return await read_whole()

        response.aiter_bytes = bounded_bytes  # type: ignore[method-assign]
        response.aread = bounded_whole  # type: ignore[method-assign]

    return hook
