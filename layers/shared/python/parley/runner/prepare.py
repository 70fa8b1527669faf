"""Making an agent ready for a turn: looked at once, and changed in place, before it runs.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from typing import Any

from agents import Agent

from parley.runner.agent_graph import reachable, require_agent, require_recordable
from parley.runner.guardrails import record_verdicts
from parley.runner.instructions import check_instructions
from parley.runner.tool_results import give_values


def prepare(agent: Agent[Any]) -> None:
    """Make an agent, and all that it can reach, ready to run in a turn.

    Raises:
        UnsupportedAgent: It has something that a turn cannot carry.
    """
    require_agent(agent)
    require_recordable(agent)
    record_verdicts(agent)
    for found in reachable(agent):
        check_instructions(found)
        give_values(found)
        if found.mcp_servers:
            # An agent that has none does not pay for the client of the protocol.
            from parley.runner.mcp_servers.sharing import share

            share(found.mcp_servers)
