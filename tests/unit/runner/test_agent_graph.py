"""The agents that a run can reach, and what of them a turn refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agents import (
    Agent,
    CustomTool,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    OpenAIResponsesWSModel,
    function_tool,
    handoff,
)
from agents.mcp import MCPServerSse, MCPServerStdio
from agents.sandbox import SandboxAgent
from openai import AsyncOpenAI

from parley.runner.agent_graph import (
    UnsupportedAgent,
    reachable,
    require_agent,
    require_recordable,
)
from parley.runner.brought_models import BroughtModel
from parley_testing.models.scripted import ScriptedProvider, in_order

CLIENT = AsyncOpenAI(api_key="none")


@function_tool
def look() -> str:
    """Look."""
    return ""


def names(agent: Agent[Any]) -> list[str]:
    return sorted(each.name for each in reachable(agent))


def test_agents_are_reached_by_handoff_and_as_tools_and_through_each_other() -> None:
    last: Agent[Any] = Agent(name="last")
    asked: Agent[Any] = Agent(name="asked", handoffs=[last])
    given: Agent[Any] = Agent(name="given", tools=[look])
    root: Agent[Any] = Agent(
        name="root", tools=[look, asked.as_tool("ask", "Ask.")], handoffs=[handoff(given)]
    )

    assert names(root) == ["asked", "given", "last", "root"]


def test_each_is_reached_once_though_they_hand_over_to_each_other() -> None:
    first: Agent[Any] = Agent(name="first")
    second: Agent[Any] = Agent(name="second", handoffs=[first], tools=[first.as_tool("a", "b")])
    first.handoffs = [second]

    assert names(first) == ["first", "second"]


def test_two_of_one_name_are_two() -> None:
    agent: Agent[Any] = Agent(name="one", handoffs=[Agent(name="one")])

    assert names(agent) == ["one", "one"]


async def late() -> Agent[Any]:
    return Agent(name="late")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (late, "is an async function"),
        (lambda: None, "returned nothing"),
        (lambda: Agent, "returned type"),
    ],
    ids=["async", "nothing", "a class"],
)
def test_what_build_gives_must_be_an_agent(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(UnsupportedAgent, match=words):
        require_agent(build())


def test_an_agent_is_one() -> None:
    require_agent(Agent(name="one"))


class KeepsARun(OpenAIResponsesModel):
    async def _cleanup_on_run_end(self, owner: object) -> None:
        pass


def with_websocket() -> Agent[Any]:
    return Agent(name="inner", model=OpenAIResponsesWSModel("gpt-5", CLIENT))


def with_a_run_s_model() -> Agent[Any]:
    return Agent(name="inner", model=BroughtModel(KeepsARun("gpt-5", CLIENT)))


def with_servers() -> Agent[Any]:
    old = [MCPServerSse(params={"url": "http://none"}, name=name) for name in ("files", "search")]
    other = MCPServerStdio(params={"command": "none"}, name="fine")
    return Agent(name="inner", mcp_servers=[*old, other])


def with_custom_tool() -> Agent[Any]:
    tool = CustomTool(name="c", description="d", on_invoke_tool=lambda *_: None)
    return Agent(name="inner", tools=[tool])


def with_plain_function() -> Agent[Any]:
    tools: list[Any] = [late]
    return Agent(name="inner", tools=tools)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (with_websocket, "brings .* OpenAIResponsesWSModel, which keeps a websocket"),
        (with_a_run_s_model, "brings .* KeepsARun, which keeps what it is told"),
        (with_servers, r"MCP servers .* \(files, search\)"),
        (with_custom_tool, "the tool c"),
        (lambda: SandboxAgent(name="inner"), "needs a sandbox"),
        (with_plain_function, "has late among its tools, which is none: .*@function_tool"),
    ],
    ids=["websocket", "a run's model", "MCP servers", "custom tool", "sandbox", "plain function"],
)
@pytest.mark.parametrize("reached", ["at once", "by handoff", "as a tool"])
def test_what_goes_past_the_record_is_refused_wherever_it_is(
    make: Callable[[], Agent[Any]], words: str, reached: str
) -> None:
    inner = make()
    root: Agent[Any] = Agent(name="root")
    match reached:
        case "at once":
            root = inner
        case "by handoff":
            root.handoffs = [inner]
        case _:
            root.tools = [inner.as_tool("ask", "Ask.")]

    with pytest.raises(UnsupportedAgent, match=f"The agent inner .*{words}"):
        require_recordable(root)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5",
        ScriptedProvider(in_order()).get_model("own"),
        OpenAIResponsesModel("gpt-5", CLIENT),
        OpenAIChatCompletionsModel("gpt-5", CLIENT),
    ],
    ids=["a name", "an own model", "Responses", "Chat Completions"],
)
def test_function_tools_and_other_models_are_not(model: Any) -> None:
    named: Agent[Any] = Agent(name="named", model=model, tools=[look])

    require_recordable(Agent(name="root", handoffs=[named], tools=[named.as_tool("ask", "Ask.")]))
