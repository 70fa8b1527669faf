"""A tool that takes longer than its `timeout_seconds`: what comes of it is kept, and told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from agents import Agent, FunctionTool, RunContextWrapper, function_tool
from agents.tool import invoke_function_tool
from agents.tool_context import ToolContext

from parley.errors import StoreUnavailable
from parley.repository.values import Step
from parley.runner.tools import effect_tool
from parley.turns import effects
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import Answer, Asked, call, in_order, say
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench

SDK_WORDS = "Tool 'slow' timed out after 0.05 seconds."


class Calls:
    """Makes a tool that never ends, and counts how often it is called."""

    def __init__(self, **limit: Any) -> None:
        self.made = 0

        async def slow() -> str:
            """Take for ever."""
            self.made += 1
            await asyncio.Event().wait()
            return "never"

        self.agent = Agent[TurnContext](
            name="one", tools=[function_tool(slow, timeout=0.05, **limit)]
        )


def failures(log: StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in lines if line["message"] == "tool failed"]


def tools(bench: Workbench, turn_id: UUID) -> list[Step]:
    return [step for step in bench.transcript.steps("alice", turn_id) if step.kind == "tool"]


async def late(context: RunContextWrapper[Any], error: Exception) -> str:
    return f"Late: {type(error).__name__}."


@pytest.mark.parametrize(
    ("limit", "words"),
    [({}, SDK_WORDS), ({"timeout_error_function": late}, "Late: ToolTimeoutError.")],
    ids=["the SDK's words", "own words"],
)
async def test_the_model_is_told_and_the_tool_is_not_called_again(
    carry: Any, log_lines: StringIO, limit: Any, words: str
) -> None:
    calls = Calls(**limit)

    carried = await carry(calls.agent, in_order(call("slow"), say("It took too long.")))

    assert carried.reply == "It took too long."
    assert calls.made == 1
    (told,) = failures(log_lines)
    assert (told["tool"], told["exception"][0]) == ("slow", "agents.exceptions.ToolTimeoutError")
    assert told["at"].startswith(f"{__file__}:")
    assert told["at"].endswith(" slow")
    assert told["call_id"]
    (recorded,) = tools(carried.bench, carried.view.turn.id)
    assert (recorded.name, recorded.error) == ("slow", "ToolTimeoutError")
    assert recorded.milliseconds is not None
    assert recorded.milliseconds >= 50
    assert carried.outputs() == {"call_1": words}


def down(*asked: Any, **named: Any) -> Any:
    raise StoreUnavailable("Postgres", "down")


async def test_a_run_that_it_fails_is_failed_by_every_attempt(
    new_bench: Callable[..., Workbench], log_lines: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(timeout_behavior="raise_exception")
    bench = new_bench(in_order(call("slow"), say("never said")), agent=calls.agent)
    session_id = bench.new_session()
    turn = bench.begin(session_id)
    monkeypatch.setattr(bench.turns, "stop", down)
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn)
    monkeypatch.undo()
    held = bench.turns.claim_head(session_id).turn
    assert held is not None

    view = await bench.execute(held)

    assert calls.made == 1
    assert view.turn.error_detail == "The agent failed: ToolTimeoutError."
    (recorded,) = tools(bench, turn.id)
    assert (recorded.name, recorded.error) == ("slow", "ToolTimeoutError")
    assert len(failures(log_lines)) == 1


@effect_tool
def quick(effect: Effect) -> str:
    """Be done at once, when the body before has ended."""
    return "done"


async def test_an_effect_that_is_late_has_not_happened(new_bench: Callable[..., Workbench]) -> None:
    told = threading.Event()

    def slow(effect: Effect) -> str:
        """Take until the model has been told that it takes too long."""
        assert told.wait(HANG_SECONDS)
        return "done"

    limited = replace(effect_tool(slow), timeout_seconds=0.05)
    agent = Agent[TurnContext](name="one", tools=[limited, quick])
    steps = in_order(call("slow", "c1"), call("quick", "c2"), say("It took too long."))

    def script(asked: Asked) -> Answer:
        if len(asked.input) > 1:
            told.set()
        return steps(asked)

    bench = new_bench(script, agent=agent)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    recorded = bench.tool_calls.of_turn(turn)
    assert (recorded["c1"].error, recorded["c1"].effect) == ("ToolTimeoutError", False)
    assert (recorded["c2"].error, recorded["c2"].effect) == (None, True)


async def test_an_effect_that_was_committed_is_told_of(
    new_bench: Callable[..., Workbench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "BODY_SECONDS", HANG_SECONDS)
    late_by = threading.Event()

    def slow(effect: Effect) -> str:
        """Take somewhat longer than the tool may, and less than a body is waited for."""
        late_by.wait(0.2)
        return "done"

    agent = Agent[TurnContext](name="one", tools=[replace(effect_tool(slow), timeout_seconds=0.05)])
    bench = new_bench(in_order(call("slow"), say("Done.")), agent=agent)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    (recorded,) = bench.tool_calls.of_turn(turn).values()
    assert (recorded.output, recorded.error, recorded.effect) == ("done", None, True)
    assert bench.model.asked[-1].input[-1]["output"] == "done"


async def test_outside_of_a_turn_it_is_as_the_sdk_has_it(
    new_bench: Callable[..., Workbench],
) -> None:
    calls = Calls()
    bench = new_bench(in_order(call("slow"), say("Late.")), agent=calls.agent)
    await bench.execute(bench.begin(bench.new_session()))
    (tool,) = calls.agent.tools
    assert isinstance(tool, FunctionTool)

    context = ToolContext(None, tool_name="slow", tool_call_id="call", tool_arguments="{}")
    answer = await invoke_function_tool(function_tool=tool, context=context, arguments="{}")

    assert answer == SDK_WORDS
