"""What a model's server sends, on its way from the wire to the SDK.

Everything that depends on private attributes of OpenAI's client for this stands here. Read in
openai 3.51: the client builds every answer, every chunk and every event in
`_process_response_data`, from the JSON as it came.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

import httpx2
from openai._streaming import ServerSentEvent, SSEDecoder

from parley.agents import response_answers
from parley.agents.chat_answers import ChatAnswer
from parley.turns.model_faults import BadAnswer, BrokenOff

_ANSWER = "parley.answer"


def mended(data: object, kind: object, response: httpx2.Response) -> object:
    """Mend what came, by what it is to become; what is none of the two APIs' stays as it is.

    Raises:
        BadAnswer: It is a whole answer that is none.
    """
    if not isinstance(data, Mapping):
        return data
    match getattr(kind, "__name__", None):
        case "ChatCompletion":
            return ChatAnswer().whole(data)
        case "ChatCompletionChunk":
            return chat_answer(response).chunk(data)
        case "Response":
            return response_answers.whole(data)
    if str(data.get("type")).startswith("response."):
        return response_answers.event(data)
    return data


def chat_answer(response: httpx2.Response) -> ChatAnswer:
    """Give the answer that comes in with a streamed response."""
    answer: ChatAnswer = response.extensions.setdefault(_ANSWER, ChatAnswer())
    return answer


class EndDecoder(SSEDecoder):
    """Decodes server-sent events.

    It keeps whether the stream said that it is done, and tells a connection that broke in the
    middle of an answer from one that could not be made.
    """

    done = False

    def decode(self, line: str) -> ServerSentEvent | None:
        """Decode a line; give the event that it ends."""
        event = super().decode(line)
        if event is not None and event.data.startswith("[DONE]"):
            self.done = True
        return event

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Give the events of what is read."""
        try:
            async for event in super().aiter_bytes(iterator):
                yield event
        except httpx2.RequestError as error:
            raise BrokenOff(request=error.request) from error


def bounded(limit: int) -> Callable[[httpx2.Response], Any]:
    """Make a hook that lets nobody read more of a response than so many bytes."""

    async def hook(response: httpx2.Response) -> None:
        read = response.aiter_bytes

        async def bounded_bytes(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
            total = 0
            async for part in read(chunk_size):
                total += len(part)
                if total > limit:
                    raise BadAnswer(
                        f"it is longer than {limit} bytes (MODEL_ANSWER_MAX_BYTES)", tries=1
                    )
                yield part

        response.aiter_bytes = bounded_bytes  # type: ignore[method-assign]

    return hook
