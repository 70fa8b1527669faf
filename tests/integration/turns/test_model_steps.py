"""What each call of the model came to stands with its turn, whoever ended it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest
from agents import Agent, function_tool
from openai import APIConnectionError

from parley.errors import StoreUnavailable
from parley.repository.turns import MODEL_STEPS_MAX
from parley.repository.values import Step
from parley.turns.context import TurnContext
from parley_testing.models.scripted import by_model, call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]
AWAY = APIConnectionError(request=httpx2.Request("POST", "http://model.example/v1"))


@function_tool
def look_up() -> str:
    """Look something up."""
    return "found"


AGENT = Agent[TurnContext](name="one", model="small", tools=[look_up])


def told(bench: Workbench, turn_id: UUID) -> list[tuple[str, str, str | None]]:
    steps = bench.transcript.steps("alice", turn_id)
    assert all(step.milliseconds is not None and step.milliseconds >= 0 for step in steps)
    return [(step.kind, step.name, step.error) for step in steps]


async def test_a_turn_shows_the_calls_of_the_model_among_those_of_tools(
    new_bench: NewBench,
) -> None:
    bench = new_bench(in_order(call("look_up"), say("Found.")), agent=AGENT)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    assert told(bench, turn.id) == [
        ("model", "small", None),
        ("tool", "look_up", None),
        ("model", "small", None),
    ]
    steps: list[Step] = [*bench.transcript.steps("alice", turn.id)]
    assert [step.call_id for step in steps] == [None, "call_1", None]


async def test_a_call_that_failed_is_shown_before_the_one_that_did_not(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.runner.model_retry.PAUSE_SECONDS", 0)
    bench = new_bench(in_order(AWAY, say("Here.")), agent=AGENT)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    assert told(bench, turn.id) == [
        ("model", "small", "APIConnectionError"),
        ("model", "small", None),
    ]


async def test_a_turn_that_failed_shows_what_it_failed_with(new_bench: NewBench) -> None:
    def script(asked: Any) -> Any:
        raise ValueError("no")

    bench = new_bench(script, agent=AGENT)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    assert told(bench, turn.id) == [("model", "small", "ValueError")]


@pytest.mark.parametrize("where", ["record", "finish", "complete"])
async def test_what_earlier_attempts_asked_is_shown_too(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Also where the attempt that completes it asks nothing."""
    answers = [call("look_up"), say("Found."), say("Found again.")]
    bench = new_bench(in_order(*answers), agent=AGENT)
    session_id = bench.new_session()
    turn = bench.begin(session_id)
    if where == "complete":
        monkeypatch.setattr(bench.turns, "complete", down)
    else:
        made: list[None] = []

        def then_down() -> None:
            made.append(None)
            if where == "finish":
                down()

        bench.watched.before[where] = then_down
        if where == "record":
            monkeypatch.setattr(bench.tool_calls, "record", down)
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn)
    monkeypatch.undo()
    bench.watched.before.clear()
    held = bench.turns.claim_head(session_id).turn
    assert held is not None

    await bench.execute(held)

    assert told(bench, turn.id) == [
        ("model", "small", None),
        ("tool", "look_up", None),
        ("model", "small", None),
    ]


def down(*asked: Any, **named: Any) -> Any:
    raise StoreUnavailable("a store", "down")


async def test_the_calls_of_an_agent_that_is_a_tool_are_among_them(new_bench: NewBench) -> None:
    inner = Agent[TurnContext](name="inner", model="tiny")
    agent = Agent[TurnContext](name="one", model="small", tools=[inner.as_tool("ask", "Ask.")])
    scripts = {
        "small": in_order(call("ask", input="what"), say("That.")),
        "tiny": in_order(say("This.")),
    }
    bench = new_bench(by_model(scripts), agent=agent)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    assert told(bench, turn.id) == [
        ("model", "small", None),
        ("model", "tiny", None),
        ("tool", "ask", None),
        ("model", "small", None),
    ]


async def test_a_cancelled_turn_shows_what_was_recorded(new_bench: NewBench) -> None:
    bench = new_bench(in_order(call("look_up")), agent=AGENT)
    turn = bench.begin(bench.new_session())
    bench.tool_calls.record = down  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn)

    await bench.cancel(turn)

    assert told(bench, turn.id) == [("model", "small", None)]


def test_no_more_of_them_are_kept_than_can_be_shown() -> None:
    from parley.repository.turns import ModelStep, Usage

    step = ModelStep(name="small", error=None, milliseconds=1, ended_at="2026-01-01T00:00:00Z")

    assert len(Usage(steps=(step,) * (MODEL_STEPS_MAX + 1)).steps) == MODEL_STEPS_MAX
