"""Which of a server's tools a model may be offered: a server is not trusted with what they are.

One name that a model's server does not take would make it refuse the whole request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from agents import Agent, FunctionTool, Handoff
from pydantic_core import to_json

from parley.runner.mcp_servers.failures import McpServerFailed

if TYPE_CHECKING:
    from mcp.types import Tool

MOST_TOOLS = 128
MOST_BYTES = 500_000
"""How much JSON the names, descriptions and schemas of one server's tools may come to."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def offered(
    tools: Iterable[Tool], agent: Agent[Any] | None, server: str, left_out: Callable[..., None]
) -> list[Tool]:
    """Return the tools that the agent's model is offered, in the server's order.

    Args:
        tools: The server's, after the filter that the agent has for them.
        agent: Whose they are to be. Its own tools and handoffs go before them.
        server: The server's name.
        left_out: Is told of each that is not offered, by `tool` and `why`.

    Raises:
        McpServerFailed: They are too many, or their schemas are.
    """
    prefixed = agent is not None and agent.mcp_config.get("include_server_in_tool_names", False)
    taken = set() if agent is None or prefixed else _own_names(agent)
    kept: list[Tool] = []
    size = 0
    for tool in tools:
        if (why := _flaw(tool, taken, prefixed=prefixed)) is not None:
            left_out(tool=tool.name[:100], why=why)
            continue
        taken.add(tool.name)
        kept.append(tool)
        size += len(to_json([tool.name, tool.description, tool.inputSchema]))
    if len(kept) > MOST_TOOLS:
        raise McpServerFailed(
            server,
            f"has {len(kept)} tools, and a model takes {MOST_TOOLS}; a tool_filter chooses some",
        )
    if size > MOST_BYTES:
        raise McpServerFailed(
            server,
            f"describes its tools in {size} bytes, of which {MOST_BYTES} are allowed; a"
            " tool_filter chooses some",
        )
    return kept


def _flaw(tool: Tool, taken: set[str], *, prefixed: bool) -> str | None:
    if tool.inputSchema.get("type", "object") != "object":
        return "its arguments are no object"
    if not prefixed and not _NAME.fullmatch(tool.name):
        return "models take no such name; mcp_config's include_server_in_tool_names makes one"
    if tool.name in taken:
        return "another tool, or a handoff, has its name"
    return None


def _own_names(agent: Agent[Any]) -> set[str]:
    names = {tool.name for tool in agent.tools if isinstance(tool, FunctionTool)}
    for target in agent.handoffs:
        named = target.tool_name if isinstance(target, Handoff) else None
        names.add(named or Handoff.default_tool_name(target))  # type: ignore[arg-type]
    return names
