"""An agent is made ready before it runs: all of it, once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from agents import Agent, GuardrailFunctionOutput, InputGuardrail

from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.brought_models import BroughtModel
from parley.runner.prepare import prepare
from parley_testing.models.scripted import ScriptedProvider, in_order


def judge(context: Any, agent: Any, asked: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered=False)


NO_TOOLS: list[Any] = [judge]


def some_agent(**fields: Any) -> Agent[Any]:
    return Agent(
        name="some",
        instructions=lambda context, agent: "Be brief.",
        input_guardrails=[InputGuardrail(judge, run_in_parallel=True)],
        tool_use_behavior="stop_on_first_tool",
        **fields,
    )


def is_ready(agent: Agent[Any]) -> bool:
    (guardrail,) = agent.input_guardrails
    return (
        getattr(agent.instructions, "checks", False)
        and getattr(guardrail.guardrail_function, "records", False)
        and not guardrail.run_in_parallel
        and callable(agent.tool_use_behavior)
    )


def test_so_is_every_agent_that_it_can_reach() -> None:
    handed, asked = some_agent(), some_agent()
    root = some_agent(handoffs=[handed], tools=[asked.as_tool("ask", "Ask.")])

    prepare(root)

    assert [is_ready(each) for each in (root, handed, asked)] == [True, True, True]


def test_again_it_changes_nothing() -> None:
    agent = some_agent()
    prepare(agent)
    ready = (
        agent.instructions,
        agent.tool_use_behavior,
        agent.input_guardrails[0].guardrail_function,
    )

    prepare(agent)

    assert ready == (
        agent.instructions,
        agent.tool_use_behavior,
        agent.input_guardrails[0].guardrail_function,
    )


@pytest.mark.parametrize(
    "refused", [None, Agent[Any](name="root", tools=NO_TOOLS)], ids=["no agent", "no tool"]
)
def test_what_a_turn_cannot_carry_is_refused(refused: Any) -> None:
    with pytest.raises(UnsupportedAgent):
        prepare(refused)


def test_a_model_that_is_brought_is_to_be_recorded_and_still_tells_what_it_holds() -> None:
    own = ScriptedProvider(in_order()).get_model("own")
    agent = Agent[Any](name="one", model=own)

    prepare(agent)
    prepare(agent)
    copied = copy.copy(agent.clone(name="two").model)

    for model in (agent.model, copied):
        assert isinstance(model, BroughtModel)
        assert model.brought is own
        assert model._name == "own"
