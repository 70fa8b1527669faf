"""HTTP to an MCP server that may be hostile: nothing unasked for, and no more than so much.

Importing this module imports `httpx`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from parley.errors import ParleyError

MAX_ANSWER_BYTES = 10_000_000
"""How large one answer may be."""

_MOST_STREAMS = 20  # of one client


class AnswerTooLarge(ParleyError, httpx.RequestError):
    """A server sends more than it may."""


class ListenedEnough(ParleyError, httpx.RequestError):
    """A stream beside the answers, for what the server asks and tells, was opened too often."""


def bounded(
    factory: Callable[..., Any] | None, stopped: Callable[[AnswerTooLarge], None]
) -> Callable[..., httpx.AsyncClient]:
    """Return a factory of clients that stop at an answer that is too large.

    Args:
        factory: Makes the clients, if the agent brings its own.
        stopped: Is told of such an answer, which the client of the protocol may keep to itself.
    """
    listened = 0

    async def asked(request: httpx.Request) -> None:
        nonlocal listened
        if "text/event-stream" in request.headers.get("accept", "") and request.method == "GET":
            listened += 1
            if listened > _MOST_STREAMS:  # the server ends them, and may say how soon
                raise ListenedEnough("too many streams", request=request)
        request.headers["accept-encoding"] = "identity"

    async def answered(response: httpx.Response) -> None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            error = AnswerTooLarge("compressed, unasked for", request=response.request)
            stopped(error)
            raise error
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Bounded(response.stream, response.request, stopped)

    def make(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx.AsyncClient:
        given = {"headers": headers, "timeout": timeout, "auth": auth}
        made = factory or httpx.AsyncClient
        client: httpx.AsyncClient = made(
            **{name: value for name, value in given.items() if value is not None or factory}
        )
        hooks = client.event_hooks
        client.event_hooks = {
            "request": [*hooks.get("request", ()), asked],
            "response": [*hooks.get("response", ()), answered],
        }
        return client

    return make


class _Bounded(httpx.AsyncByteStream):
    """The bytes of an answer, up to a limit."""

    def __init__(
        self,
        stream: httpx.AsyncByteStream,
        request: httpx.Request,
        stopped: Callable[[AnswerTooLarge], None],
    ) -> None:
        self._stream = stream
        self._request = request
        self._stopped = stopped

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ANSWER_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                error = AnswerTooLarge("too large", request=self._request)
                self._stopped(error)
                raise error
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
