"""A digest of an agent's structure: tells whether a deploy changed it between two attempts.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from agents import Agent
from pydantic_core import to_json

from parley.runner.sdk_private import mcp_name


def agent_digest(agent: Agent[Any]) -> str:
    """Digest the names of the agent, its tools, handoffs and MCP servers, and theirs in turn.

    Instructions are left out: they may hold the date. So is what a server offers, which may change
    from one model call to the next: a record tells which of it was called.
    """
    return sha256(to_json(_structure(agent, set()))).hexdigest()[:16]


def _structure(agent: Agent[Any], seen: set[int]) -> list[Any]:
    if id(agent) in seen:
        return [agent.name]
    seen.add(id(agent))
    tools = sorted(tool.name for tool in agent.tools)
    handoffs = [
        _structure(target, seen) if isinstance(target, Agent) else [target.agent_name]
        for target in agent.handoffs
    ]
    servers = [sorted(mcp_name(server) for server in agent.mcp_servers)]
    return [agent.name, tools, sorted(handoffs, key=repr), *(servers if servers[0] else ())]
