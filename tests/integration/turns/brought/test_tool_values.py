"""The model is told text of what tools give; the agent's own functions are given the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from agents import (
    Agent,
    AgentHooks,
    GuardrailFunctionOutput,
    OutputGuardrail,
    Tool,
    ToolOutputImage,
    ToolOutputText,
    ToolsToFinalOutputResult,
    function_tool,
)
from pydantic import BaseModel

from parley.runner.tools import read_tool
from parley.turns.context import TurnContext
from parley_testing.models.scripted import call, in_order, say


class Weather(BaseModel):
    """What a tool gives."""

    city: str
    degrees: float


@dataclass
class Place:
    """What another tool gives."""

    city: str


VALUES: dict[str, Any] = {
    "model": Weather(city="Oslo", degrees=1.5),
    "dataclass": Place("Oslo"),
    "models": [Weather(city="Oslo", degrees=1.0), Weather(city="Rome", degrees=2.0)],
    "object": {"zz": 1, "a": [True, None]},
    "number": 7,
    "nothing": None,
    "text": "as it is",
    "digits": "7",
}


def weather(context: Any, kind: str) -> Any:
    """Tell the weather.

    Args:
        kind: Which.
    """
    return VALUES[kind]


def weather_now(kind: str) -> Any:
    """Tell the weather.

    Args:
        kind: Which.
    """
    return VALUES[kind]


# By both ways in which a tool can be made.
TOOLS: list[Tool] = [function_tool(weather_now), read_tool(weather)]
NAMES = [tool.name for tool in TOOLS]


async def test_functions_of_the_agent_s_are_given_the_value(carry: Any) -> None:
    seen: list[Any] = []

    class Hooks(AgentHooks[TurnContext]):
        async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
            seen.append(result)

    def decide(context: Any, results: Any) -> ToolsToFinalOutputResult:
        seen.extend(result.output for result in results)
        return ToolsToFinalOutputResult(is_final_output=False)

    agent = Agent[TurnContext](name="one", tools=TOOLS, tool_use_behavior=decide, hooks=Hooks())
    # One step with each value, by each tool; the hooks hear of them in any order.
    calls = [
        item
        for name in NAMES
        for kind in VALUES
        for item in call(name, f"{name} {kind}", kind=kind)
    ]

    carried = await carry(agent, in_order(calls, say("ok")))

    assert carried.reply == "ok"
    given = [(type(value), value) for value in VALUES.values()]
    decided = [(type(value), value) for value in seen]
    one_attempt = 2 * 2 * len(given)
    assert len(decided) % one_attempt == 0
    assert decided[-2 * len(given) :] == given * 2
    assert [decided.count(each) for each in given] == [
        given.count(each) * len(decided) // len(given) for each in given
    ]


async def test_a_value_can_be_the_answer(carry: Any) -> None:
    def decide(context: Any, results: Any) -> ToolsToFinalOutputResult:
        return ToolsToFinalOutputResult(True, " ".join(each.output.city for each in results))

    agent = Agent[TurnContext](name="one", tools=TOOLS, tool_use_behavior=decide)
    both = [item for name in NAMES for item in call(name, name, kind="model")]

    carried = await carry(agent, in_order(both))

    assert carried.reply == "Oslo Oslo"


@pytest.mark.parametrize(
    ("behaviour", "typed"),
    [
        ("stop_on_first_tool", False),
        ("stop_on_first_tool", True),
        ({"stop_at_tool_names": ["weather"]}, False),
    ],
    ids=["the first", "the first, typed", "a named one"],
)
async def test_an_answer_that_is_a_tool_s_output_is_json(
    carry: Any, behaviour: Any, typed: bool
) -> None:
    guarded: list[Any] = []

    def judge(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        guarded.append(output)
        return GuardrailFunctionOutput(None, tripwire_triggered=False)

    agent = Agent[TurnContext](
        name="one",
        tools=TOOLS,
        tool_use_behavior=behaviour,
        output_type=Weather if typed else None,
        output_guardrails=[OutputGuardrail(judge, name="sees the answer")],
    )
    both = [item for name in NAMES for item in call(name, name, kind="model")]

    carried = await carry(agent, in_order(both))

    assert carried.reply == '{"city":"Oslo","degrees":1.5}'
    assert guarded == [VALUES["model"] if typed else carried.reply]


SHAPES: dict[str, tuple[Any, Any]] = {
    "one key of a file": (
        [{"type": "file", "name": "a.txt"}],
        '[{"type":"file","name":"a.txt"}]',
    ),
    "more than a text": (
        {"type": "text", "text": "hi", "score": 3},
        '{"type":"text","text":"hi","score":3}',
    ),
    "an image without one": ({"type": "image"}, '{"type":"image"}'),
    "another type": ([{"type": "folder"}], '[{"type":"folder"}]'),
    "a text": (ToolOutputText(text="hi"), [{"type": "input_text", "text": "hi"}]),
    "an image": (
        [ToolOutputImage(image_url="https://example.com/a.png")],
        [{"type": "input_image", "image_url": "https://example.com/a.png"}],
    ),
    "a file as a dictionary": (
        {"type": "file", "file_id": "f1"},
        [{"type": "input_file", "file_id": "f1"}],
    ),
}


async def test_only_what_the_sdk_takes_for_a_structured_output_is_one(
    carry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.VALUES", {name: given for name, (given, _) in SHAPES.items()})
    agent = Agent[TurnContext](name="one", tools=TOOLS)
    calls = [
        item
        for name in NAMES
        for kind in SHAPES
        for item in call(name, f"{name} {kind}", kind=kind)
    ]

    carried = await carry(agent, in_order(calls, say("ok")))

    assert carried.outputs() == {
        f"{name} {kind}": told for name in NAMES for kind, (_, told) in SHAPES.items()
    }
