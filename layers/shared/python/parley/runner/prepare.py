"""Making an agent ready for a turn: looked at once, and changed in place, before it runs.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from typing import Any

from agents import Agent, Handoff

from parley.runner.agent_graph import reachable, require_agent, require_recordable
from parley.runner.brought_models import record_model
from parley.runner.guardrails import record_verdicts
from parley.runner.instructions import check_instructions
from parley.runner.sdk_private import agent_of_handoff
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
        record_model(found)
        for target in found.handoffs:
            _prepare_when_made(target)
        if found.mcp_servers:
            # An agent that has none does not pay for the client of the protocol.
            from parley.runner.mcp_servers.sharing import share

            share(found.mcp_servers)


def _prepare_when_made(target: Agent[Any] | Handoff[Any, Any]) -> None:
    """Have an agent made ready that a handoff makes only when it is handed over to."""
    if not isinstance(target, Handoff) or agent_of_handoff(target) is not None:
        return
    invoke = target.on_invoke_handoff
    if getattr(invoke, "prepares", False):
        return

    async def prepared(*given: Any) -> Agent[Any]:
        agent: Agent[Any] = await invoke(*given)
        prepare(agent)
        return agent

    prepared.prepares = True  # type: ignore[attr-defined]
    target.on_invoke_handoff = prepared
