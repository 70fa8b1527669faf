"""Having an agent's MCP servers shared by the turns of a process, in place.

Importing this module imports the client of the Model Context Protocol.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

from agents import Agent, RunContextWrapper, UserError
from agents.mcp import MCPServer, MCPServerStdio, MCPServerStreamableHttp
from mcp import McpError
from mcp.types import CallToolResult, Tool

from parley.observability import logger
from parley.runner.mcp_servers.failures import McpCallRefused, McpServerFailed
from parley.runner.mcp_servers.offered import offered
from parley.runner.mcp_servers.shared import SharedServer
from parley.runner.sdk_private import filtered_tools, unconnected
from parley.turns.attempt import current_attempt
from parley.turns.caps import ServerLimits
from parley.turns.scope import enclosing_call

_LIMITS = ServerLimits()
_ASKED = (
    "list_prompts",
    "get_prompt",
    "list_resources",
    "list_resource_templates",
    "read_resource",
)

_shared: weakref.WeakSet[MCPServer] = weakref.WeakSet()


def not_supported(servers: Iterable[MCPServer]) -> list[str]:
    """Return the names of the servers that cannot be shared."""
    supported = (MCPServerStreamableHttp, MCPServerStdio)
    return [server.name for server in servers if not isinstance(server, supported)]


def share(servers: Iterable[MCPServer]) -> None:
    """Have servers connected when they are first asked, and kept for the turns to come, in place.

    One that is connected already, by code of the agent's, stays with that code.
    """
    for server in servers:
        if (
            isinstance(server, MCPServerStreamableHttp | MCPServerStdio)
            and server.session is None
            and server not in _shared
        ):
            _shared.add(server)
            _share(server)


def _share(server: MCPServerStreamableHttp | MCPServerStdio) -> None:
    filtering = unconnected(server)  # without what is put in place below
    shared = SharedServer(unconnected(server))
    said: set[tuple[str | None, str]] = set()

    async def list_tools(
        run_context: RunContextWrapper[Any] | None = None, agent: Agent[Any] | None = None
    ) -> list[Tool]:
        tools = await shared.tools(_limits())
        chosen = await filtered_tools(filtering, tools, run_context, agent)

        def left_out(*, tool: str, why: str) -> None:
            name = None if agent is None else agent.name
            if (name, tool) not in said:
                said.add((name, tool))
                logger().warning(
                    "a tool of an MCP server is not offered",
                    server=shared.name,
                    agent=name,
                    tool=tool,
                    reason=why,
                )

        return offered(chosen, agent, shared.name, left_out)

    async def call_tool(
        tool_name: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None = None
    ) -> CallToolResult:
        try:
            result = await shared.ask(
                lambda connected: connected.call_tool(tool_name, arguments, meta), _limits()
            )
        except McpServerFailed:
            raise
        except (McpError, UserError) as error:
            raise McpCallRefused(shared.name, f"refused the call: {error}") from error
        attempt, call_id = current_attempt(), enclosing_call()
        if result.isError and attempt is not None and call_id is not None:
            attempt.journal.tool_errors[call_id] = "McpToolError"
        return result

    async def ask(method: str, *given: Any, **named: Any) -> Any:
        return await shared.ask(
            lambda connected: getattr(connected, method)(*given, **named), _limits()
        )

    async def nothing() -> None:
        """Do nothing: it is connected when it is asked, and stays so."""

    vars(server).update(
        list_tools=list_tools,
        call_tool=call_tool,
        connect=nothing,
        cleanup=nothing,
        **{method: partial(ask, method) for method in _ASKED},
    )
    weakref.finalize(server, shared.close)


def _limits() -> ServerLimits:
    attempt = current_attempt()
    return _LIMITS if attempt is None else attempt.server_limits
