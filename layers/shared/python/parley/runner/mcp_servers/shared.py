"""An MCP server as all turns of a process have it: its connections, and what it offers.

Importing this module imports the client of the Model Context Protocol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakSet

from agents.mcp import MCPServerStreamableHttp
from mcp.types import Tool

from parley.failpoints import failpoint
from parley.observability import logger, traced
from parley.runner.mcp_servers.connection import Connection, all_closed
from parley.runner.mcp_servers.failures import McpServerFailed
from parley.runner.mcp_servers.own_loop import OwnLoop
from parley.runner.mcp_servers.reasons import (
    ConnectionLost,
    TookTooLong,
    loses_connection,
    never_arrived,
    reason,
)
from parley.runner.sdk_private import ClientSessionServer, mcp_name
from parley.turns.caps import ServerLimits

T = TypeVar("T")

_HTTP_CONNECTIONS = 4  # of calls made at a time; a process of a server's is one
_MOST_PAGES = 100
_OLD_LISTING_SECONDS = 30.0

_servers: WeakSet[SharedServer] = WeakSet()


async def _close_all() -> None:
    for server in list(_servers):
        server.close_idle()
    await all_closed()


connections = OwnLoop("parley-mcp", _close_all)


class SharedServer:
    """One server; to be called from any event loop."""

    def __init__(self, server: ClientSessionServer) -> None:
        """Keep what the agent says of the server; nothing is connected.

        Args:
            server: It, unconnected. Nobody else has it.
        """
        self.name = mcp_name(server)
        server.tool_filter = None
        server.cache_tools_list = False
        server.max_list_pages = server.max_list_pages or _MOST_PAGES
        self._server = server
        is_http = isinstance(server, MCPServerStreamableHttp)
        self._slots = asyncio.Semaphore(_HTTP_CONNECTIONS if is_http else 1)
        self._idle: list[Connection] = []
        self._tools: list[Tool] | None = None
        self._listed_until = 0.0
        self._listing = asyncio.Lock()
        _servers.add(self)

    async def tools(self, limits: ServerLimits) -> list[Tool]:
        """Return the server's tools, as it told them within the time that they are believed.

        Raises:
            McpServerFailed: It cannot be asked, and never was.
        """
        if self._tools is None or time.time() >= self._listed_until:
            return await connections.run(self._list(limits))
        return self._tools

    async def ask(
        self, request: Callable[[ClientSessionServer], Awaitable[T]], limits: ServerLimits
    ) -> T:
        """Make a request and return its answer.

        Raises:
            McpServerFailed: There is none, for a reason that is not the request's own.
            Exception: What the server, or the SDK, says instead of an answer.
        """
        return await connections.run(self._asked(request, limits.seconds))

    def close(self) -> None:
        """Close the connections, without waiting for it."""
        connections.call(self.close_idle)

    async def _list(self, limits: ServerLimits) -> list[Tool]:
        async with self._listing:
            if self._tools is not None and time.time() < self._listed_until:
                return self._tools
            self._listed_until = time.time() + limits.listing_seconds
            try:
                self._tools = await self._asked(lambda server: server.list_tools(), limits.seconds)
            except Exception as error:
                self._listed_until = 0.0
                if self._tools is None:
                    if isinstance(error, McpServerFailed):
                        raise
                    raise McpServerFailed(self.name, "could not say which tools it has") from error
                self._listed_until = time.time() + _OLD_LISTING_SECONDS
                logger().warning(
                    "an MCP server cannot say which tools it has; those of before are offered",
                    server=self.name,
                    **traced(error),
                )
            return self._tools

    async def _asked(
        self, request: Callable[[ClientSessionServer], Awaitable[T]], seconds: float
    ) -> T:
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        try:
            async with asyncio.timeout(seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise McpServerFailed(self.name, "was busy with other calls all the time") from error
        try:
            return await self._answered(request, lambda: end - clock())
        except (ConnectionLost, TookTooLong) as error:
            raise McpServerFailed(self.name, reason(error)) from error.__cause__
        finally:
            self._slots.release()

    async def _answered(
        self,
        request: Callable[[ClientSessionServer], Awaitable[T]],
        left: Callable[[], float],
    ) -> T:
        retries = max(1, self._server.max_retry_attempts)
        while True:
            connection, is_new = await self._connected(left)
            try:
                answer = await self._one(connection, request, left)
            except ConnectionLost as lost:
                retries -= 1
                wanted = self._server.max_retry_attempts != 0
                unseen = not is_new and never_arrived(lost)
                if left() <= 0 or retries < 0 or not (unseen or wanted):
                    raise
                continue
            failpoint("after an MCP server's answer")
            return answer

    async def _one(
        self,
        connection: Connection,
        request: Callable[[ClientSessionServer], Awaitable[T]],
        left: Callable[[], float],
    ) -> T:
        """Make a request once, and keep the connection if nothing of it is left under way."""
        keep = False
        try:
            answer = await connection.ask(request, left())
            keep = True
            return answer
        except Exception as error:
            keep = not loses_connection(error)
            raise
        except asyncio.CancelledError:
            await asyncio.shield(connection.close())
            raise
        finally:
            if keep and connection.is_fit:
                self._idle.append(connection)
            else:
                connection.close()

    async def _connected(self, left: Callable[[], float]) -> tuple[Connection, bool]:
        """Return a connection, and whether it is new. The last one used is the first taken."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fit:
                return connection, False
            connection.close()
        connection = Connection(self._server, self._tools or (), self._expire)
        opened = False
        try:
            await connection.open(left())
            opened = True
        finally:
            if not opened:
                connection.close()
        return connection, True

    def _expire(self) -> None:
        self._listed_until = 0.0

    def close_idle(self) -> None:
        """Close the connections that nobody uses; to be called in their loop."""
        while self._idle:
            self._idle.pop().close()
