"""The digest of an agent's structure."""

from __future__ import annotations

from typing import Any

from agents import Agent, function_tool, handoff
from agents.mcp import MCPServerStdio

from parley.runner.agent_digest import agent_digest


@function_tool
def one() -> str:
    """One."""
    return ""


@function_tool
def two() -> str:
    """Two."""
    return ""


def agent(**fields: Any) -> Agent[Any]:
    return Agent(**{"name": "a", "instructions": "x", "tools": [one]} | fields)


def test_it_is_the_same_for_the_same_structure() -> None:
    assert agent_digest(agent()) == agent_digest(agent())


def test_instructions_may_change() -> None:
    assert agent_digest(agent(instructions="today is Monday")) == agent_digest(agent())


def test_the_order_of_tools_may_change() -> None:
    assert agent_digest(agent(tools=[one, two])) == agent_digest(agent(tools=[two, one]))


def test_names_tools_handoffs_and_servers_may_not() -> None:
    inner = agent(name="b", handoffs=[agent(name="c")])
    structures = [
        agent(),
        agent(name="b"),
        agent(tools=[two]),
        agent(tools=[one, two]),
        agent(handoffs=[agent(name="b")]),
        agent(handoffs=[inner]),
        agent(handoffs=[handoff(agent(name="d"))]),
        agent(mcp_servers=[MCPServerStdio({"command": "none"}, name="files")]),
        agent(mcp_servers=[MCPServerStdio({"command": "none"}, name="mail")]),
    ]

    assert len({agent_digest(structure) for structure in structures}) == len(structures)


def test_agents_that_hand_off_to_each_other_have_a_digest() -> None:
    first, second = agent(name="first"), agent(name="second")
    first.handoffs, second.handoffs = [second], [first]

    assert agent_digest(first) != agent_digest(second)
