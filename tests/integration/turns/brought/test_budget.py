"""What a turn may spend on the model holds, over tools, agents inside tools, tries and attempts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import Agent, ModelSettings, RunContextWrapper, Runner, function_tool

from parley.runner import model_retry
from parley.runner.model_faults import BadAnswer
from parley.runner.tools import effect_tool
from parley.turns.budget import TurnBudget
from parley.turns.context import TurnContext
from parley_testing.models.scripted import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Items,
    by_model,
    call,
    in_order,
    say,
)

A_CALL = INPUT_TOKENS + OUTPUT_TOKENS
JUDGE = Agent[Any](name="judge", model="judge", instructions="Judge.")


@effect_tool
def note(effect: Any) -> str:
    """Note something."""
    return "noted"


@function_tool
def long_text() -> str:
    """Return a long text."""
    return "word " * 800


@function_tool
async def ask_quietly(context: RunContextWrapper[TurnContext], question: str) -> str:
    """Ask another agent, and make nothing of its failing."""
    try:
        result = await Runner.run(JUDGE, question, context=context.context)
    except Exception as error:
        return f"it failed: {type(error).__name__}"
    return str(result.final_output)


@function_tool
async def ask_two(context: RunContextWrapper[TurnContext]) -> str:
    """Ask another agent twice at once."""
    runs = [Runner.run(JUDGE, each, context=context.context) for each in ("a", "b")]
    return ", ".join(str(run.final_output) for run in await asyncio.gather(*runs))


def agent(*tools: Any, **settings: Any) -> Agent[TurnContext]:
    return Agent[TurnContext](
        name="todo", instructions="Note.", tools=[*tools], model_settings=ModelSettings(**settings)
    )


def steps(calls: int) -> list[Items]:
    return [call("note", f"c{number}") for number in range(calls)]


async def test_a_turn_of_as_many_calls_as_it_may_make_is_answered(carry: Any) -> None:
    script = in_order(*steps(2), say("Done."))

    carried = await carry(agent(note), script, budget=TurnBudget(model_calls=3))

    assert carried.view.turn.status == "completed"


async def test_one_call_more_ends_it_visibly_with_a_note_of_what_was_done(carry: Any) -> None:
    asked: list[Any] = []
    answers = in_order(*steps(3), say("never said"))

    def script(each: Any) -> Any:
        asked.append(each)
        return answers(each)

    carried = await carry(agent(note), script, budget=TurnBudget(model_calls=2))

    turn = carried.view.turn
    assert (turn.status, turn.error_code, turn.model_calls) == ("failed", "budget_exceeded", 2)
    assert turn.error_detail.startswith("The turn may ask the model 2 times, and has done so.")
    assert "Already done before that, and not to be repeated: note({})" in turn.error_detail
    assert len(asked) == 2


async def test_tokens_that_the_next_call_is_expected_to_take_are_held_before_it(
    carry: Any,
) -> None:
    """Its answer may have 500 tokens, and the tool's output is sent with it, some 1,000."""
    script = in_order(call("long_text"), say("never said"))

    carried = await carry(agent(long_text, max_tokens=500), script, budget=TurnBudget(tokens=1_400))

    turn = carried.view.turn
    assert (turn.status, turn.error_code, turn.model_calls) == ("failed", "budget_exceeded", 1)
    assert f"may take 1400 tokens and has taken {A_CALL};" in turn.error_detail


async def test_what_a_call_takes_less_than_was_held_is_there_for_the_next(carry: Any) -> None:
    """Each is expected to take more than 3,000 tokens, and takes some."""
    script = in_order(*steps(3), say("Done."))

    carried = await carry(
        agent(note, max_tokens=3_000), script, budget=TurnBudget(tokens=4 * A_CALL + 4_000)
    )

    assert carried.view.turn.status == "completed"


async def test_a_tool_that_asks_an_agent_cannot_go_on_without_it(carry: Any) -> None:
    script = by_model(
        {
            "judge": in_order(say("fine")),
            "default": in_order(call("ask_quietly", question="a"), say("never said")),
        }
    )

    carried = await carry(agent(ask_quietly), script, budget=TurnBudget(model_calls=1))

    assert (carried.view.turn.status, carried.view.turn.error_code) == ("failed", "budget_exceeded")


async def test_calls_that_go_on_at_once_are_all_held(carry: Any) -> None:
    script = by_model(
        {"judge": lambda _: say("fine"), "default": in_order(call("ask_two"), say("never said"))}
    )

    carried = await carry(agent(ask_two), script, budget=TurnBudget(model_calls=2))

    assert (carried.view.turn.status, carried.view.turn.error_code) == ("failed", "budget_exceeded")


async def test_each_try_of_a_call_counts(carry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_retry, "PAUSE_SECONDS", 0.0)
    tries: list[int] = []

    def bad(_: Any) -> Any:
        tries.append(1)
        raise BadAnswer("The answer was cut off.", tries=3)

    carried = await carry(agent(note), bad, budget=TurnBudget(model_calls=2))

    assert (carried.view.turn.status, carried.view.turn.error_code) == ("failed", "budget_exceeded")
    assert len(tries) == 2
