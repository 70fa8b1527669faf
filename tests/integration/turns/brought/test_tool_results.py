"""The model is told text of what tools give; the agent's own functions are given the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from agents import (
    Agent,
    AgentHooks,
    FunctionToolCustomDataContext,
    GuardrailFunctionOutput,
    HandoffInputData,
    OutputGuardrail,
    RunContextWrapper,
    RunHooks,
    RunItemStreamEvent,
    Runner,
    Tool,
    ToolCallOutputItem,
    ToolOutputImage,
    ToolOutputText,
    ToolsToFinalOutputResult,
    function_tool,
    handoff,
)
from pydantic import BaseModel

from parley.repository.paging import PAGE_BYTES
from parley.runner.tools import read_tool
from parley.turns.context import TurnContext
from parley_testing.models.scripted import by_model, call, in_order, say


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


async def test_an_answer_that_no_response_could_carry_fails_the_turn(
    carry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda takes 6 MB, and what is escaped counts as it is sent: it could never be read."""
    monkeypatch.setitem(VALUES, "text", '"' * (PAGE_BYTES // 4 + 1))
    agent = Agent[TurnContext](name="one", tools=TOOLS, tool_use_behavior="stop_on_first_tool")

    carried = await carry(agent, in_order(call("weather", "c", kind="text")))

    assert (carried.view.turn.status, carried.code) == ("failed", "reply_too_long")


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


async def test_what_looks_at_a_run_s_items_is_given_the_value(carry: Any) -> None:
    """Beside the hooks: behaviours, extractors, filters of handoffs, and runs inside the run."""
    seen: list[tuple[str, Any]] = []

    def decide(context: Any, results: Any) -> ToolsToFinalOutputResult:
        seen.extend(("behaviour", result.run_item.output) for result in results)
        return ToolsToFinalOutputResult(is_final_output=False)

    def extract(context: FunctionToolCustomDataContext) -> dict[str, Any]:
        seen.append(("extractor", context.output))
        return {"city": context.output.city}

    def outputs(where: str, items: Any) -> None:
        for item in items:
            if isinstance(item, ToolCallOutputItem):
                seen.append((where, item.output))
                seen.append(("its data", item.custom_data))

    def choose(data: HandoffInputData) -> HandoffInputData:
        outputs("filter", data.pre_handoff_items)
        return data

    class Hooks(RunHooks[Any]):
        async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
            seen.append(("hooks of a run", result))

    tool = function_tool(weather_now, custom_data_extractor=extract)
    inner = Agent[Any](name="inner", model="inner", tools=[tool])
    last = Agent[TurnContext](name="last", model="last")

    async def after(result: Any) -> str:
        outputs("agent as a tool", result.new_items)
        return "done"

    @function_tool
    async def ask(question: str) -> str:
        """Ask."""
        result = await Runner.run(inner, question, hooks=Hooks())
        outputs("run", result.new_items)
        return "done"

    @function_tool
    async def ask_streamed(question: str) -> str:
        """Ask, and hear."""
        result = Runner.run_streamed(inner, question, hooks=Hooks())
        async for event in result.stream_events():
            if isinstance(event, RunItemStreamEvent):
                outputs("event", [event.item])
        return "done"

    agent = Agent[TurnContext](
        name="one",
        tools=[
            tool,
            ask,
            ask_streamed,
            inner.as_tool("as_tool", "Ask.", custom_output_extractor=after),
        ],
        tool_use_behavior=decide,
        handoffs=[handoff(last, input_filter=choose)],
    )
    looks = [item for n in range(3) for item in call("weather_now", f"in {n}", kind="model")]
    script = by_model(
        {
            "default": in_order(
                call("weather_now", "w", kind="model"),
                call("ask", "a", question="?"),
                call("ask_streamed", "s", question="?"),
                call("as_tool", "t", input="?"),
                call("transfer_to_last", "h"),
            ),
            "inner": in_order([looks[0]], say("so"), [looks[1]], say("so"), [looks[2]], say("so")),
            "last": in_order(say("Bye.")),
        }
    )

    carried = await carry(agent, script)

    assert carried.reply == "Bye."
    value = VALUES["model"]
    for where in (
        "behaviour",
        "extractor",
        "filter",
        "run",
        "event",
        "agent as a tool",
        "hooks of a run",
    ):
        given = [each for place, each in seen if place == where]
        assert value in given, where
        assert all(each in (value, "done") for each in given), where
    assert {"city": "Oslo"} in [each for place, each in seen if place == "its data"]
    assert carried.outputs()["w"] == '{"city":"Oslo","degrees":1.5}'


def nested(levels: int, kind: type) -> Any:
    value: Any = kind()
    for _ in range(levels):
        value = [value] if kind is list else {"in": value}
    return value


@dataclass
class Mine:
    """An agent's own context."""

    deep: Any = None
    seen: int = 0


class Unwritable:
    """A value of which nothing can be told."""

    def __repr__(self) -> str:
        raise LookupError("no name")


DEEP: dict[str, Any] = {
    "300 lists": nested(300, list),
    "1,000 lists": nested(1_000, list),
    "100,000 lists": nested(100_000, list),
    "1,000 objects": nested(1_000, dict),
    "no text": Unwritable(),
}


async def test_a_value_that_cannot_be_written_down_is_told_of(
    carry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.VALUES", DEEP)
    agent = Agent[TurnContext](name="one", tools=TOOLS)
    calls = [
        item for name in NAMES for kind in DEEP for item in call(name, f"{name} {kind}", kind=kind)
    ]

    carried = await carry(agent, in_order(calls, say("ok")))

    assert carried.reply == "ok"
    told = carried.outputs()
    for name in NAMES:
        assert told[f"{name} 300 lists"].startswith("[[[")
        for kind in ("1,000 lists", "100,000 lists", "1,000 objects"):
            assert "cannot be written down: RecursionError" in told[f"{name} {kind}"]
        assert "cannot be written down: LookupError" in told[f"{name} no text"]


@pytest.mark.parametrize("levels", [300, 1_000, 100_000])
async def test_such_a_value_can_be_the_answer_a_verdict_or_in_a_context(
    carry: Any, levels: int
) -> None:
    @function_tool
    def look(context: RunContextWrapper[Mine]) -> Any:
        """Look."""
        context.context.deep = nested(levels, list)
        context.context.seen += 1
        return nested(levels, list)

    def judge(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(nested(levels, list), tripwire_triggered=False)

    agent = Agent[Any](
        name="one",
        tools=[look],
        tool_use_behavior="stop_on_first_tool",
        output_guardrails=[OutputGuardrail(judge, name="deep")],
    )

    carried = await carry(agent, in_order(call("look", "c")), context=lambda turn: Mine())

    assert carried.view.turn.status == "completed", carried.view.turn.error_detail
    assert carried.reply.startswith("[[[" if levels == 300 else "[This value, of type list")
