"""A function behind Lambda Web Adapter: requests are handed on to its HTTP server as they come."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from parley_local.execution import START_SECONDS, EnvironmentLost
from parley_local.lambda_identity import function_arn
from parley_local.proxy import passed_on, streamed_headers
from parley_local.request_context import RequestContext
from parley_local.template import Function
from parley_local.web_process import WebProcess

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class WebResponse:
    """A response under way: `parts` gives its body as the server writes it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    parts: AsyncIterator[bytes]


class WebFunction:
    """Runs one function's server, and starts it anew when it has ended.

    Unlike on Lambda, one process serves all requests, also at the same time.
    """

    def __init__(
        self,
        function: Function,
        variables: Mapping[str, str],
        *,
        init_timeout: float = START_SECONDS,
    ) -> None:
        self.function = function
        self._variables = {**function.variables, **variables}
        self._init_timeout = init_timeout
        self._failures = error_statuses(self._variables.get("AWS_LWA_ERROR_STATUS_CODES", ""))
        self._process: WebProcess | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The id of the server's process group, if it runs."""
        return [self._process.pid] if self._process and self._process.alive else []

    async def prewarm(self) -> None:
        """Start the server, so that the first request finds it warm.

        Raises:
            EnvironmentLost: It does not start.
        """
        await self._server()

    @asynccontextmanager
    async def call(
        self, context: RequestContext, caller: dict[str, Any] | None
    ) -> AsyncIterator[WebResponse]:
        """Hand a request on; leaving the block early hangs up on the server.

        Args:
            context: The request and what the gateway knows of it.
            caller: The authorizer's result.

        Yields:
            The response, once the server has sent its headers.

        Raises:
            EnvironmentLost: The server cannot be started, ended before its response did, or gave
                a status that the adapter takes for a failure.
        """
        try:
            response = await self._send(context, caller)
        except httpx.TransportError as error:
            raise self._hung_up(error) from error
        try:
            if response.status_code in self._failures:
                fault = f"Request failed with configured error status code {response.status_code}"
                raise EnvironmentLost({"errorMessage": fault, "errorType": "Runtime.Error"})
            headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in response.headers.raw
            ]
            yield WebResponse(
                response.status_code, streamed_headers(headers), self._parts(response)
            )
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Stop the server; requests under way are cut off. Safe to call twice."""
        self._closed = True
        # Whoever starts it now sees to its end.
        async with self._starting:
            if self._process is not None:
                await self._process.close()
                await self._process.transport.aclose()

    async def _send(self, context: RequestContext, caller: dict[str, Any] | None) -> httpx.Response:
        server = await self._server()
        try:
            return await server.transport.handle_async_request(_request(server, context, caller))
        except httpx.ConnectError:
            # It ends just now, and has seen nothing of the request.
            await server.kill()
        server = await self._server()
        return await server.transport.handle_async_request(_request(server, context, caller))

    async def _server(self) -> WebProcess:
        async with self._starting:
            if self._closed:
                raise EnvironmentLost({"errorMessage": "The gateway is stopping."})
            if self._process is not None and self._process.alive:
                return self._process
            if self._process is not None:
                # What it started may have outlived it.
                await self._process.kill()
            self._process = None
            process = await WebProcess.spawn(self.function, self._variables)
            await process.ready(self._init_timeout)
            self._process = process
            return process

    async def _parts(self, response: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for part in response.aiter_raw():
                yield part
        except httpx.TransportError as error:
            raise self._hung_up(error) from error

    def _hung_up(self, error: httpx.TransportError) -> EnvironmentLost:
        fault = f"{self.function.name} ended before its response: {error}"
        return EnvironmentLost({"errorMessage": fault, "errorType": "Runtime.ExitError"})


def error_statuses(text: str) -> frozenset[int]:
    """Return the statuses that the adapter makes a failed invocation of, from its setting.

    Raises:
        ValueError: It is not like `500` or `500,502-504`.
    """
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _request(
    server: WebProcess, context: RequestContext, caller: dict[str, Any] | None
) -> httpx.Request:
    """Make of a client's request the one that the adapter would send to the server."""
    request = context.request
    path = request.path + ("?" + request.query if request.query else "")
    # The adapter's JSON is UTF-8 as it stands, which ASGI's latin-1 headers do not show.
    own = [
        (name, json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode())
        for name, entry in (
            (b"x-amzn-request-context", context.as_event(caller)),
            (b"x-amzn-lambda-context", _lambda_context(server, context.request_id)),
        )
    ]
    seen = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in passed_on(request)]
    return httpx.Request(
        request.method,
        httpx.URL(scheme="http", host="localhost", raw_path=path.encode("latin-1")),
        headers=[*seen, *own],
        content=request.body,
        extensions={"timeout": {"connect": _CONNECT_SECONDS}},
    )


def _lambda_context(server: WebProcess, request_id: str) -> dict[str, Any]:
    function, identity = server.function, server.identity
    return {
        "request_id": request_id,
        "deadline": round((time.time() + function.timeout) * 1000),
        "invoked_function_arn": function_arn(function.name),
        "xray_trace_id": None,
        "client_context": None,
        "identity": None,
        "env_config": {
            "function_name": function.name,
            "memory": function.memory,
            "version": identity["AWS_LAMBDA_FUNCTION_VERSION"],
            "log_stream": identity["AWS_LAMBDA_LOG_STREAM_NAME"],
            "log_group": identity["AWS_LAMBDA_LOG_GROUP_NAME"],
        },
    }
