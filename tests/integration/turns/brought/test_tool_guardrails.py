"""Guardrails of tools: what they withhold is told to nobody, and they judge once in a turn."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from agents import (
    Agent,
    FunctionTool,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolOutputGuardrail,
    function_tool,
)
from pydantic import BaseModel

from parley.runner.tools import effect_tool
from parley.turns.context import TurnContext
from parley_testing.models.scripted import call, in_order, say

SECRET = "the password is milk"
ALLOW = ToolGuardrailFunctionOutput.allow
REJECT = ToolGuardrailFunctionOutput.reject_content
RAISE = ToolGuardrailFunctionOutput.raise_exception


class Looked(BaseModel):
    """What a tool found."""

    found: str


class Judge:
    """A guardrail of a tool that keeps what it is asked about, and judges otherwise next time."""

    def __init__(self, first: Any, name: str = "secrets") -> None:
        self.asked: list[Any] = []
        self._first = first
        self._name = name

    def __call__(self, data: Any) -> ToolGuardrailFunctionOutput:
        self.asked.append(getattr(data, "output", data.context.tool_arguments))
        if len(self.asked) == 1:
            given: ToolGuardrailFunctionOutput = self._first
            return given
        return ALLOW() if self._first.behavior["type"] != "allow" else RAISE()

    def on_input(self) -> ToolInputGuardrail[Any]:
        return ToolInputGuardrail(self, name=self._name)

    def on_output(self) -> ToolOutputGuardrail[Any]:
        return ToolOutputGuardrail(self, name=self._name)


def agent_with(*, effect: bool, **guardrails: Any) -> Agent[TurnContext]:
    def look() -> Looked:
        """Look something up."""
        return Looked(found=SECRET)

    def look_once(effect: Any) -> Looked:
        """Look something up."""
        return look()

    tool = effect_tool(look_once) if effect else function_tool(look)
    tool.name = "look"
    tool.tool_input_guardrails = guardrails.get("before")
    tool.tool_output_guardrails = guardrails.get("after")
    return Agent(name="one", tools=[tool])


@pytest.fixture(params=[False, True], ids=["function tool", "effect tool"])
def effect(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_an_output_that_is_rejected_is_told_to_nobody(carry: Any, effect: bool) -> None:
    judge = Judge(REJECT("It is a secret."))
    agent = agent_with(effect=effect, after=[judge.on_output()])

    carried = await carry(agent, in_order(call("look", "c"), say("No.")))

    assert carried.reply == "No."
    assert carried.outputs() == {"c": "It is a secret."}
    assert judge.asked == [Looked(found=SECRET)]
    assert SECRET not in str(carried.events)
    if carried.followed:
        assert [each["output"] for each in carried.told("tool.returned")] == ["It is a secret."]


async def test_an_output_that_ends_the_turn_is_told_to_nobody(carry: Any, effect: bool) -> None:
    judge = Judge(RAISE())
    agent = agent_with(effect=effect, after=[judge.on_output()])

    carried = await carry(agent, in_order(call("look", "c"), say("No.")))

    assert carried.code == "guardrail_tripped"
    assert "secrets" in carried.detail
    assert len(carried.bench.model.asked) == 1
    assert SECRET not in str(carried.events)
    assert carried.told("tool.returned") == []


async def test_an_output_that_every_guardrail_lets_through_is_told(
    carry: Any, effect: bool
) -> None:
    judges = [Judge(ALLOW(), name) for name in ("one", "two")]
    agent = agent_with(effect=effect, after=[judge.on_output() for judge in judges])

    carried = await carry(agent, in_order(call("look", "c"), say("Yes.")))

    assert carried.outputs() == {"c": f'{{"found":"{SECRET}"}}'}
    assert [judge.asked for judge in judges] == [[Looked(found=SECRET)]] * 2
    if carried.followed:
        told = [each["output"] for each in carried.told("tool.returned")]
        assert told == [f'{{"found":"{SECRET}"}}']


async def test_a_call_that_is_rejected_is_not_made(
    carry: Any, effect: bool, sql: psycopg.Connection
) -> None:
    judge = Judge(REJECT("Not now."))
    agent = agent_with(effect=effect, before=[judge.on_input()])

    carried = await carry(agent, in_order(call("look", "c"), say("No.")))

    assert carried.outputs() == {"c": "Not now."}
    assert len(judge.asked) == 1
    assert sql.execute("SELECT FROM tool_calls").rowcount == 0


async def test_a_call_that_ends_the_turn_is_not_made(
    carry: Any, effect: bool, sql: psycopg.Connection
) -> None:
    judge = Judge(RAISE())
    agent = agent_with(effect=effect, before=[judge.on_input()])

    carried = await carry(agent, in_order(call("look", "c"), say("No.")))

    assert carried.code == "guardrail_tripped"
    assert sql.execute("SELECT FROM tool_calls").rowcount == 0


async def test_a_guardrail_of_two_tools_judges_each_call(carry: Any) -> None:
    judge = ToolOutputGuardrail[Any](lambda data: ALLOW(), name="shared")
    agent = agent_with(effect=False, after=[judge])
    (other,) = agent_with(effect=True, after=[judge]).tools
    assert isinstance(other, FunctionTool)
    other.name = "look_again"
    agent.tools.append(other)
    both = call("look", "c1") + call("look_again", "c2") + call("look", "c3")

    carried = await carry(agent, in_order(both, say("Yes.")))

    assert carried.outputs().keys() == {"c1", "c2", "c3"}
    if carried.followed:
        told = {each["call_id"]: each["output"] for each in carried.told("tool.returned")}
        assert told == carried.outputs()


async def test_a_guardrail_that_gives_no_verdict_is_named(carry: Any) -> None:
    judge = ToolOutputGuardrail[Any](lambda data: True, name="careless")  # type: ignore[arg-type,return-value]
    agent = agent_with(effect=False, after=[judge])

    carried = await carry(agent, in_order(call("look", "c"), say("No.")))

    assert carried.code == "agent_not_supported"
    assert "careless returned bool" in carried.detail
