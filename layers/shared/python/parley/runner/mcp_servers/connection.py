"""One connection to an MCP server, which carries one request at a time.

A request that fails otherwise than by an answer so takes no other down with it. Everything here
runs in the loop of the connections. Importing this module imports the client of the Model Context
Protocol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from datetime import timedelta
from typing import Any, TypeVar

from agents.mcp import MCPServerStreamableHttp
from mcp import ClientSession
from mcp.types import ServerNotification, Tool, ToolListChangedNotification

from parley.observability import logger, traced
from parley.runner.mcp_servers.bounded_http import bounded
from parley.runner.mcp_servers.reasons import ConnectionLost, TookTooLong, loses_connection
from parley.runner.sdk_private import ClientSessionServer, know_schemas, unconnected

T = TypeVar("T")

_IDLE_SECONDS = 60
"""After so long without a request a connection over HTTP is not trusted: a process may have been
frozen meanwhile, and nobody tells it that its sockets are gone."""
_CLOSING_SECONDS = 3.0
_PROCESS_CLOSING_SECONDS = 8.0  # the client waits for a process, then signals it twice
_ENDING_SECONDS = 0.2

_closing: set[asyncio.Task[None]] = set()


class Connection:
    """A connection, from when it is opened until it is closed."""

    def __init__(
        self,
        server: ClientSessionServer,
        tools: Iterable[Tool],
        list_changed: Callable[[], None],
    ) -> None:
        """Keep what it is to be to.

        Args:
            server: As the agent has it; a copy is connected.
            tools: What is known of its tools, so that they are not listed anew.
            list_changed: Is called when the server says that its tools are others now.
        """
        self._server = unconnected(server)
        self._is_http = isinstance(server, MCPServerStreamableHttp)
        if isinstance(self._server, MCPServerStreamableHttp):
            factory = self._server.params.get("httpx_client_factory")
            self._server.params = {
                **self._server.params,
                "httpx_client_factory": bounded(factory, self._break),
            }
        self._tools = tools
        self._list_changed = list_changed
        self._told = server.message_handler
        self._ready = asyncio.get_running_loop().create_future()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._broken.add_done_callback(lambda broken: broken.cancelled() or broken.exception())
        self._ending = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._used_at = time.time()

    async def open(self, seconds: float) -> None:
        """Connect, and agree on the protocol.

        Raises:
            ConnectionLost: It could not be connected; the cause says why.
            TookTooLong: It was not within the time.
        """
        # Of no caller: the task outlives whoever was first to ask.
        self._owner = asyncio.get_running_loop().create_task(self._own(), context=Context())
        waits: set[asyncio.Future[Any]] = {self._ready, self._owner, self._broken}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            self._require_alive()
            raise TookTooLong

    @property
    def is_fit(self) -> bool:
        """Whether it may be used again."""
        if self._owner is None or self._owner.done() or self._broken.done():
            return False
        if self._owner.get_loop() is not asyncio.get_running_loop():  # of before a fork
            return False
        return not self._is_http or abs(time.time() - self._used_at) < _IDLE_SECONDS

    async def ask(
        self, request: Callable[[ClientSessionServer], Awaitable[T]], seconds: float
    ) -> T:
        """Make a request and return its answer.

        Raises:
            ConnectionLost: The connection is of no use any more; the cause says why.
            TookTooLong: There was no answer within the time.
            Exception: What the server, or the SDK, says instead of an answer.
        """
        assert self._owner is not None
        task = asyncio.ensure_future(request(self._server))
        waits: set[asyncio.Future[Any]] = {task, self._owner, self._broken}
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return await self._answer(task)
            self._require_alive()
            raise TookTooLong
        finally:
            self._used_at = time.time()
            task.cancel()
            await asyncio.wait([task], timeout=_ENDING_SECONDS)
            if task.done() and not task.cancelled():
                task.exception()

    async def _answer(self, task: asyncio.Future[T]) -> T:
        try:
            return task.result()
        except Exception as error:
            if not loses_connection(error):
                raise
            # What ended the connection ends its task a moment after it ends the request.
            if self._owner is not None:
                ends: set[asyncio.Future[Any]] = {self._owner, self._broken}
                await asyncio.wait(
                    ends, timeout=_ENDING_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            self._require_alive()
            raise ConnectionLost from error

    def _require_alive(self) -> None:
        """Raise what ended the connection, if anything has.

        Raises:
            ConnectionLost: The cause says by what.
        """
        if self._broken.done():
            raise ConnectionLost from self._broken.exception()
        if self._owner is not None and self._owner.done():
            cancelled = self._owner.cancelled()
            raise ConnectionLost from (None if cancelled else self._owner.exception())

    def close(self) -> asyncio.Task[None]:
        """Close the connection, and return what does it."""
        task = asyncio.get_running_loop().create_task(self._close(), context=Context())
        _closing.add(task)
        task.add_done_callback(_closing.discard)
        return task

    async def _close(self) -> None:
        self._ending.set()
        if not self._ready.done():
            self._ready.cancel()
        owner = self._owner
        if owner is None or owner.get_loop() is not asyncio.get_running_loop():
            return
        await asyncio.sleep(0)
        seconds = _CLOSING_SECONDS if self._is_http else _PROCESS_CLOSING_SECONDS
        while not owner.done():
            await asyncio.wait([owner], timeout=seconds)
            if not owner.done():
                owner.cancel()
        if not owner.cancelled() and (error := owner.exception()) is not None:
            logger().debug("a connection to an MCP server ended", **traced(error))

    async def _own(self) -> None:
        """Hold the connection: the client has it opened and closed by one task."""
        server = self._server
        seconds = server.client_session_timeout_seconds
        async with server.create_streams() as (read, write, *_):
            timeout = timedelta(seconds=seconds) if seconds else None
            async with ClientSession(read, write, timeout, message_handler=self._heard) as session:
                server.server_initialize_result = await session.initialize()
                know_schemas(session, self._tools)
                server.session = session
                if not self._ready.done():
                    self._ready.set_result(None)
                await self._ending.wait()

    async def _heard(self, message: Any) -> None:
        """Take what the server says beside its answers."""
        if isinstance(message, Exception) and self._is_http:
            self._break(message)  # in place of an answer that cannot be read
        if isinstance(message, ServerNotification) and isinstance(
            message.root, ToolListChangedNotification
        ):
            self._list_changed()
        if self._told is not None:
            try:
                await self._told(message)
            except Exception as error:
                logger().warning("an MCP message_handler failed", **traced(error))

    def _break(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)


async def all_closed() -> None:
    """Wait until what is being closed is."""
    if _closing:
        await asyncio.wait(_closing)
