"""A model that calls a tool which does not exist is told so, and tries again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agents import Agent, function_tool
from openai.types.responses import ResponseCustomToolCall

from parley.runner.agent_run import MAX_MODEL_CALLS
from parley.runner.tools import effect_tool
from parley.turns.context import TurnContext
from parley_testing.models.scripted import Items, call, in_order, say


@effect_tool
def add(effect: Any, title: str) -> str:
    """Add something."""
    return f"added {title}"


@function_tool
def look_up() -> str:
    """Look something up."""
    return "found"


AGENT = Agent[TurnContext](name="one", tools=[add, look_up], handoffs=[Agent(name="other")])


@pytest.mark.parametrize("name", ["functions.add", "transfer_to_nobody", "apply_patch", "add "])
async def test_the_model_is_told_and_tries_again(carry: Any, name: str) -> None:
    script = in_order(
        call(name, "c1", title="milk"), call("add", "c2", title="milk"), say("Added.")
    )

    carried = await carry(AGENT, script)

    assert carried.reply == "Added."
    there = "These are there: add, look_up, transfer_to_other."
    told = {"c1": f"There is no tool {name}. {there}", "c2": "added milk"}
    assert carried.outputs() == told
    if carried.followed:
        arguments = json.dumps({"title": "milk"})
        called = [(each["name"], each["arguments"]) for each in carried.told("tool.called")]
        assert called == [(name, arguments), ("add", arguments)]
        assert [each["output"] for each in carried.told("tool.returned")] == [*told.values()]


@pytest.mark.parametrize("name", ["shell", "add"])
async def test_a_custom_tool_that_does_not_exist_is_one_too(carry: Any, name: str) -> None:
    custom = ResponseCustomToolCall(
        type="custom_tool_call", call_id="c1", id="ctc_1", name=name, input="buy \ud800milk"
    )
    script = in_order([custom], call("add", "c2", title="milk"), say("Added."))

    carried = await carry(AGENT, script)

    assert carried.reply == "Added."
    told = carried.outputs()
    assert told["c2"] == "added milk"
    what = {"shell": "There is no tool shell", "add": "Invalid JSON input for tool add"}
    assert what[name] in told["c1"]


async def test_tools_beside_it_are_called(carry: Any) -> None:
    both = call("add", "c1", title="milk") + call("added", "c2") + call("look_up", "c3")

    carried = await carry(AGENT, in_order(both, say("Added.")))

    outputs = carried.outputs()
    assert (outputs["c1"], outputs["c3"]) == ("added milk", "found")
    assert outputs["c2"].startswith("There is no tool added.")


async def test_an_agent_used_as_a_tool_is_told_too(carry: Any) -> None:
    inner = Agent[TurnContext](name="inner", tools=[look_up])
    agent = Agent[TurnContext](name="outer", tools=[inner.as_tool("ask", "Ask.")])
    script = in_order(
        call("ask", "c1", input="what"), call("look", "c2"), say("nothing"), say("Nothing.")
    )

    carried = await carry(agent, script)

    assert carried.reply == "Nothing."
    assert carried.bench.model.asked[2].input[-1]["output"] == (
        "There is no tool look. These are there: look_up."
    )
    if carried.followed and carried.view.turn.attempt == 1:  # which dies before it has told it
        assert [each["within"] for each in carried.told("tool.returned")] == ["c1", None]


async def test_it_is_not_taken_for_the_answer_of_an_agent_that_stops_at_its_first_tool(
    carry: Any,
) -> None:
    agent = AGENT.clone(tool_use_behavior="stop_on_first_tool")

    carried = await carry(agent, in_order(call("look", "c1"), call("look_up", "c2")))

    assert carried.reply == "found"


async def test_a_model_that_never_finds_one_ends_at_the_limit(carry: Any) -> None:
    asked: list[Any] = []

    def script(now: Any) -> Items:
        asked.append(now)
        return call("nothing", f"c{len(asked)}")

    carried = await carry(AGENT, script)

    assert (carried.code, len(asked)) == ("too_many_steps", MAX_MODEL_CALLS)
