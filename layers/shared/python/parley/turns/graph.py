"""The agents that a run can reach, and what of them a turn of Parley's cannot carry.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agents import (
    Agent,
    ApplyPatchTool,
    ComputerTool,
    CustomTool,
    LocalShellTool,
    ShellTool,
)

# These run in our process but go past what records outputs, so an attempt would repeat them.
_UNRECORDED = (ApplyPatchTool, ComputerTool, CustomTool, LocalShellTool, ShellTool)


class UnsupportedAgent(Exception):
    """The agent has something whose effects could be repeated; the message names it."""


def reachable(agent: Agent[Any]) -> Iterator[Agent[Any]]:
    """Give the agent, those that it may hand over to or uses as tools, and theirs; each once."""
    seen: set[int] = set()
    waiting = [agent]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        nested = (getattr(tool, "_agent_instance", None) for tool in found.tools)
        handed = (
            target if isinstance(target, Agent) else getattr(target, "_agent_ref", lambda: None)()
            for target in found.handoffs
        )
        waiting += [target for target in (*nested, *handed) if isinstance(target, Agent)]


def require_recordable(agent: Agent[Any]) -> None:
    """Let only an agent go on whose model calls and tools are all recorded.

    Raises:
        UnsupportedAgent: It, or one that it reaches, brings a model of its own instead of a name,
            or a tool of a kind that is not recorded.
    """
    for found in reachable(agent):
        if not isinstance(found.model, str | None):
            raise UnsupportedAgent(f"The agent {found.name} must name its model, not bring one.")
        for tool in found.tools:
            if isinstance(tool, _UNRECORDED):
                raise UnsupportedAgent(
                    f"The agent {found.name} has the tool {tool.name}, of a kind that is not"
                    " supported yet; a function tool is."
                )
