"""What a model's server sends, on its way from the wire to the SDK.

The client reads every answer, every chunk and every event from the JSON as it came, which is mended
here before: see `HookedClient`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, cast, get_args

import httpx2
from openai.types.responses import ResponseStreamEvent

from parley.agents.bounds import LINE_BYTES, Bounds, require_small, too_long
from parley.agents.chat_answers import ChatAnswer
from parley.agents.response_answers import ResponseAnswer
from parley.runner.model_faults import TRIES, BadAnswer, BrokenOff
from parley.runner.sdk_private import ServerSentEvent, SSEDecoder

_EVENTS = {
    name: event
    for event in get_args(get_args(ResponseStreamEvent)[0])
    for name in get_args(event.model_fields["type"].annotation)
}

_PIECE_BYTES = 16_384
"""So many bytes are looked at at once: one read has up to 64 KiB of them, or 1 MiB that were
compressed, and may hold many events, or end an event and the whole stream's room together."""

_ANSWER = "parley.answer"
_BOUNDS = "parley.bounds"


def mended(data: object, kind: object, response: httpx2.Response) -> object:
    """Mend what came, by what it is to become; what is none of the two APIs' stays as it is.

    Raises:
        BadAnswer: It is a whole answer that is none.
    """
    if not isinstance(data, Mapping):
        return data
    name = getattr(kind, "__name__", None)
    if data.get("object") == "response" and name != "Response":  # where a stream was asked for
        ended = data.get("status") or "completed"
        data = {"type": f"response.{ended}", "sequence_number": 0, "response": data}
    match name:
        case "ChatCompletion":
            return chat_answer(response).whole(data)
        case "ChatCompletionChunk":
            return chat_answer(response).chunk(data)
        case "Response":
            return _response_answer(response).whole(data)
    if str(data.get("type")).startswith("response."):
        return _response_answer(response).event(data)
    return data


def kind_of_event(data: object, kind: Any) -> Any:
    """Return an event's own type where the client would try all of them.

    It tries each of some sixty on every event before it looks at the event's type. That takes most
    of the time that an event costs; and of one that is not quite as any type has it, they keep
    what is wrong with each value in it: 300 MB for the 4 MB of a response with `logprobs`.
    """
    if kind is not ResponseStreamEvent or not isinstance(data, Mapping):
        return kind
    return _EVENTS.get(str(data.get("type")), kind)


def chat_answer(response: httpx2.Response) -> ChatAnswer:
    """Return the answer of Chat Completions that comes in with an HTTP response."""
    answer = response.extensions.get(_ANSWER)
    if answer is None:
        answer = response.extensions[_ANSWER] = ChatAnswer(response.extensions[_BOUNDS])
    return cast("ChatAnswer", answer)


def _response_answer(response: httpx2.Response) -> ResponseAnswer:
    answer = response.extensions.get(_ANSWER)
    if answer is None:
        answer = response.extensions[_ANSWER] = ResponseAnswer(response.extensions[_BOUNDS])
    return cast("ResponseAnswer", answer)


class _Event(ServerSentEvent):
    """An event whose data is a JSON object, or should be."""

    def json(self) -> Any:
        """Return the data; an error is under `error`, as the client looks for it.

        Raises:
            BadAnswer: It is no JSON, or too much of it.
        """
        require_small(self.data.encode(errors="replace"))
        try:
            data = super().json()
        except ValueError as error:
            raise BadAnswer("a part of it is no JSON", tries=TRIES) from error
        failed = "error" in (self.event, data.get("object")) and not data.get("error")
        # The Responses API has events of that type, which the SDK reads.
        return {"error": data} if failed and data.get("type") != "error" else data


class EndDecoder(SSEDecoder):
    """Decodes server-sent events, and a whole answer of a server that does not stream.

    It passes over what says nothing, such as an event without data. It keeps whether the stream
    said that it is done, and tells a connection that broke in the middle of an answer from one
    that could not be made.
    """

    done = False

    def __init__(self, bounds: Bounds) -> None:
        """Keep how much of one event is held in memory."""
        super().__init__()
        self._limit = bounds.whole_bytes
        self._held = 0

    def decode(self, line: str) -> ServerSentEvent | None:
        """Decode a line; give the event that it ends, if it says something."""
        event = super().decode(line)
        if not line:
            self._held = 0
        if event is None or event.data.startswith("[DONE]"):
            self.done |= event is not None
            return event
        if event.data.lstrip().startswith("{"):
            return _Event(event=event.event, data=event.data, id=event.id, retry=event.retry)
        if event.event == "error":
            return _Event(data=json.dumps({"error": {"message": event.data}}))
        return None

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Yield the events of what is read."""
        try:
            async for event in super().aiter_bytes(self._bounded(iterator)):
                yield event
        except httpx2.RequestError as error:
            raise BrokenOff(request=error.request) from error

    async def _bounded(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        whole: list[bytes] | None = None
        begun = False
        async for part in iterator:
            self._held += len(part)
            if self._held > self._limit:
                raise too_long(f"{self._limit} bytes in one event (8 * MODEL_ANSWER_MAX_CHARS)")
            if not begun and (first := part.lstrip()[:1]):
                begun = True
                whole = [] if first == b"{" else None
            if whole is None:
                yield part
            else:
                whole.append(part)
        if whole is not None:
            yield b"data: " + b" ".join(b"".join(whole).splitlines()) + b"\n\n"


def bound(response: httpx2.Response, bounds: Bounds) -> None:
    """Let nobody read more of a response than may be; only its head was read so far."""
    response.extensions[_BOUNDS] = bounds
    read, read_whole = response.aiter_bytes, response.aread
    limit, line_bytes = bounds.stream_bytes, LINE_BYTES

    async def bounded_bytes(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        total = 0
        async for part in read(chunk_size):
            for start in range(0, len(part), _PIECE_BYTES):
                piece = part[start : start + _PIECE_BYTES]
                total += len(piece) + line_bytes * piece.count(b"\n")
                if total > limit:
                    times = limit // bounds.chars
                    raise too_long(f"{limit} bytes ({times} * MODEL_ANSWER_MAX_CHARS)")
                yield piece

    async def bounded_whole() -> bytes:
        nonlocal limit, line_bytes
        limit, line_bytes = bounds.whole_bytes, 0
        content = await read_whole()
        require_small(content)
        if response.is_success and content.strip()[:1] != b"{":
            raise BadAnswer("it is no JSON object", tries=TRIES)
        return content

    response.aiter_bytes = bounded_bytes  # type: ignore[method-assign]
    response.aread = bounded_whole  # type: ignore[method-assign]
