"""The agents that a run can reach, and what of them a turn of Parley's cannot carry.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from agents import (
    Agent,
    ApplyPatchTool,
    ComputerTool,
    CustomTool,
    LocalShellTool,
    Model,
    OpenAIResponsesWSModel,
    ShellTool,
)

from parley.errors import ParleyError
from parley.runner.brought_models import itself
from parley.runner.sdk_private import agent_of_handoff, agent_of_tool, keeps_a_run

# These run in our process but go past what records outputs, so an attempt would repeat them.
_UNRECORDED = (ApplyPatchTool, ComputerTool, CustomTool, LocalShellTool, ShellTool)


class UnsupportedAgent(ParleyError):
    """The agent has something that a turn cannot carry; the message names it."""


def reachable(agent: Agent[Any]) -> Iterator[Agent[Any]]:
    """Yield the agent, those that it may hand over to or uses as tools, and theirs; each once."""
    seen: set[int] = set()
    waiting = [agent]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        others = (*map(agent_of_tool, found.tools), *map(agent_of_handoff, found.handoffs))
        waiting += [other for other in others if other is not None]


def require_agent(built: object) -> None:
    """Let only an agent go on.

    Raises:
        UnsupportedAgent: What `build()` gave is none.
    """
    if inspect.iscoroutine(built):
        built.close()
        raise UnsupportedAgent(
            "The agent's build() is an async function; it must be an ordinary one that returns an"
            " Agent."
        )
    if not isinstance(built, Agent):
        given = "nothing" if built is None else f"{type(built).__name__}"
        raise UnsupportedAgent(f"The agent's build() returned {given}; it must return an Agent.")


def require_recordable(agent: Agent[Any]) -> None:
    """Let only an agent go on whose model calls and tools are all recorded.

    Raises:
        UnsupportedAgent: It, or one that it reaches, brings a model or a tool of a kind that is
            not recorded, an MCP server of such a kind, or a sandbox.
    """
    for found in reachable(agent):
        if found.mcp_servers and (names := _not_shared(found)):
            raise UnsupportedAgent(
                f"The agent {found.name} has MCP servers of a kind that is not supported"
                f" ({', '.join(names)}); MCPServerStreamableHttp and MCPServerStdio are."
            )
        if hasattr(found, "default_manifest"):  # looking for its class would import it
            raise UnsupportedAgent(
                f"The agent {found.name} needs a sandbox, which is not supported yet."
            )
        if isinstance(found.model, Model):
            require_recordable_model(found.model, f"The agent {found.name}")
        for tool in found.tools:
            if not hasattr(tool, "name"):
                given = getattr(tool, "__name__", type(tool).__name__)
                raise UnsupportedAgent(
                    f"The agent {found.name} has {given} among its tools, which is none: a function"
                    " becomes one by @function_tool, @effect_tool or @read_tool."
                )
            if isinstance(tool, _UNRECORDED):
                raise UnsupportedAgent(
                    f"The agent {found.name} has the tool {tool.name}, of a kind that is not"
                    " supported yet; a function tool is."
                )


def require_recordable_model(model: Model, whose: str) -> None:
    """Let only a model go on of which nothing is left when it has answered.

    Args:
        model: A model that is brought as an object.
        whose: What brings it, with which a sentence begins.

    Raises:
        UnsupportedAgent: It keeps a connection or a run of its own, which an attempt that carries
            the turn on would not find again.
    """
    own = itself(model)
    if isinstance(own, OpenAIResponsesWSModel):
        kept = "which keeps a websocket; OpenAIResponsesModel asks the same over HTTP"
    elif keeps_a_run(own):
        kept = "which keeps what it is told until its run ends, and of that nothing is recorded"
    else:
        return
    raise UnsupportedAgent(f"{whose} brings a model of the kind {type(own).__name__}, {kept}.")


def _not_shared(agent: Agent[Any]) -> list[str]:
    # An agent that has none does not pay for the client of the protocol.
    from parley.runner.mcp_servers.sharing import not_supported

    return not_supported(agent.mcp_servers)
