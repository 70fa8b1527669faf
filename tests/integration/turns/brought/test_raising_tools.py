"""A tool whose exception fails its turn (`failure_error_function=None`): it is recorded, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agents import Agent, FunctionTool, Runner, function_tool
from agents.tool_context import ToolContext

from parley.errors import StoreUnavailable
from parley.turns.context import TurnContext
from parley_testing.models.scripted import Answer, Asked, call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]


class Till:
    """Makes a tool that fails when it is called first, and counts its calls."""

    def __init__(self) -> None:
        self.charged = 0

    def charge(self) -> str:
        """Charge the card, somewhere else than in Postgres."""
        self.charged += 1
        if self.charged == 1:
            raise LookupError("no such card")
        return "charged"

    def tool(self) -> FunctionTool:
        return function_tool(self.charge, failure_error_function=None)

    def bare_tool(self) -> FunctionTool:
        async def invoke(context: ToolContext[Any], arguments: str) -> str:
            return self.charge()

        schema = {"type": "object", "properties": {}, "additionalProperties": False}
        return FunctionTool("charge", "Charge the card.", schema, invoke)


def down(*asked: Any, **named: Any) -> Any:
    raise StoreUnavailable("Postgres", "down")


async def carried(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The turn after an attempt that could not end it, and one that carried it on."""
    session_id = bench.new_session()
    turn = bench.begin(session_id)
    with monkeypatch.context() as patch:
        patch.setattr(bench.turns, "stop", down)
        patch.setattr(bench.turns, "stop_barely", down, raising=False)
        with pytest.raises(StoreUnavailable):
            await bench.execute(turn)
    held = bench.turns.claim_head(session_id).turn
    assert held is not None
    return await bench.execute(held)


@pytest.mark.parametrize("made", [Till.tool, Till.bare_tool], ids=["function_tool", "FunctionTool"])
async def test_a_turn_that_it_fails_is_failed_by_every_attempt(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch, made: Callable[[Till], FunctionTool]
) -> None:
    till = Till()
    agent = Agent[TurnContext](name="one", tools=[made(till)])
    bench = new_bench(in_order(call("charge"), say("never said")), agent=agent)

    view = await carried(bench, monkeypatch)

    assert till.charged == 1
    assert view.turn.error_detail == "The agent failed: LookupError."
    (step,) = [
        step for step in bench.transcript.steps("alice", view.turn.id) if step.kind == "tool"
    ]
    assert (step.name, step.error) == ("charge", "LookupError")


async def test_an_error_that_is_its_own_cause_is_followed_once(new_bench: NewBench) -> None:
    one, other = LookupError("no such card"), LookupError("no such account")
    one.__context__, other.__context__ = other, one

    @function_tool(failure_error_function=None)
    def charge() -> str:
        """Charge the card."""
        raise one

    bench = new_bench(
        in_order(call("charge")), agent=Agent[TurnContext](name="one", tools=[charge])
    )

    view = await bench.execute(bench.begin(bench.new_session()))

    assert view.turn.error_detail == "The agent failed: LookupError."


async def test_the_turn_says_what_was_raised_and_not_what_the_sdk_made_of_it(
    new_bench: NewBench,
) -> None:
    agent = Agent[TurnContext](name="one", tools=[Till().tool()])
    bench = new_bench(in_order(call("charge")), agent=agent)

    view = await bench.execute(bench.begin(bench.new_session()))

    assert view.turn.error_detail == "The agent failed: LookupError."


async def test_a_model_that_failed_below_a_tool_is_asked_again(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Agent[TurnContext](name="other")
    asked_before: list[Asked] = []

    async def ask() -> str:
        """Ask somebody else."""
        return str((await Runner.run(other, "What is it?")).final_output)

    def script(asked: Asked) -> Answer:
        first = asked.input[-1]
        if first.get("content") == "What is it?":
            asked_before.append(asked)
            if len(asked_before) == 1:
                raise LookupError("the model's")
            return say("An owl.")
        return say("An owl, they say.") if "output" in first else call("ask")

    agent = Agent[TurnContext](name="one", tools=[function_tool(ask, failure_error_function=None)])
    bench = new_bench(script, agent=agent)

    view = await carried(bench, monkeypatch)

    assert view.reply is not None
    assert view.reply.content == "An owl, they say."
