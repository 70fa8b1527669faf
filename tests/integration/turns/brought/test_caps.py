"""What tools give does not multiply: caps on an output, on a step, on a turn and on the window."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from agents import Agent, ToolOutputText, ToolsToFinalOutputResult, function_tool

from parley.runner.tools import effect_tool, read_tool
from parley.turns.caps import Caps
from parley.turns.context import TurnContext
from parley_testing.models.scripted import call, in_order, say

LONG = "æ" * 60_000  # twice as many bytes
NOTE = "\n[Cut here: {} of 120000 bytes are shown. Ask for less at a time.]"
calls: list[str] = []


@function_tool
def long_text() -> str:
    """Give a long text."""
    return LONG


@read_tool
def long_rows(effect: Any) -> list[str]:
    """Give long rows."""
    return [LONG]


@function_tool
def long_parts() -> list[ToolOutputText]:
    """Give parts."""
    return [ToolOutputText(text="short"), ToolOutputText(text=LONG)]


@effect_tool
def count(effect: Any, name: str) -> str:
    """Count."""
    calls.append(name)
    return name


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    calls.clear()


async def test_an_output_is_cut_for_the_model_and_kept_whole(
    carry: Any, sql: psycopg.Connection
) -> None:
    seen: list[Any] = []

    def decide(context: Any, results: Any) -> ToolsToFinalOutputResult:
        seen.append([result.output for result in results])
        return ToolsToFinalOutputResult(False)

    agent = Agent[TurnContext](
        name="one", tools=[long_text, long_rows, long_parts], tool_use_behavior=decide
    )
    script = in_order(
        call("long_text", "c1") + call("long_rows", "c2") + call("long_parts", "c3"), say("ok")
    )

    carried = await carry(agent, script, caps=Caps(output_bytes=1_001))

    told = carried.outputs()
    assert told["c1"] == "æ" * 500 + NOTE.format(1001)
    assert told["c2"].startswith('["æææ')
    assert told["c2"].endswith(
        "[Cut here: 1001 of 120004 bytes are shown. Ask for less at a time.]"
    )
    assert told["c3"] == [
        {"type": "input_text", "text": "short"},
        {"type": "input_text", "text": "æ" * 498 + NOTE.format(996)},
    ]
    assert seen[-1][:2] == [LONG, [LONG]]
    lengths = sql.execute(
        "SELECT octet_length(output->>'value') > 120000 - 1 FROM tool_calls"
    ).fetchall()
    assert lengths == [(True,)] * 3


async def test_the_outputs_of_a_turn_are_cut_together(carry: Any) -> None:
    agent = Agent[TurnContext](name="one", tools=[long_text, count])
    asked = [call("long_text", f"c{number}") for number in range(14)]

    carried = await carry(
        agent, in_order(*asked, call("count", "c14", name="short"), say("ok")), caps=Caps(20_000)
    )

    sizes = [len(output.partition("\n[")[0].encode()) for output in carried.outputs().values()]
    assert sizes == [20_000] * 10 + [1_000] * 4 + [5]


async def test_the_model_is_told_to_repeat_calls_above_the_most(
    carry: Any, sql: psycopg.Connection
) -> None:
    agent = Agent[TurnContext](name="one", tools=[count])
    step = [item for n in range(5) for item in call("count", f"c{n}", name=str(n))]

    carried = await carry(
        agent, in_order(step, call("count", "c5", name="4"), say("ok")), caps=Caps(step_calls=3)
    )

    told = carried.outputs()
    assert [told[f"c{n}"] for n in (0, 1, 2, 5)] == ["0", "1", "2", "4"]
    assert all("at most 3 tools" in told[f"c{n}"] for n in (3, 4))
    assert sorted(calls) == ["0", "1", "2", "4"]
    assert sql.execute("SELECT FROM tool_calls").rowcount == 4
    if carried.followed and carried.view.turn.attempt == 1:
        assert len(carried.told("tool.returned")) == 6


async def test_caps_are_out_of_the_way(carry: Any) -> None:
    agent = Agent[TurnContext](name="one", tools=[count])
    name = "x" * 99_000
    step = [item for n in range(32) for item in call("count", f"c{n}", name=str(n))]

    carried = await carry(agent, in_order(call("count", "c", name=name), step, say("ok")))

    assert carried.outputs() == {"c": name} | {f"c{n}": str(n) for n in range(32)}


async def test_the_window_is_bounded_in_bytes_too(new_bench: Any) -> None:
    bench = new_bench(agent=Agent[TurnContext](name="one"), memory_bytes=10_000)
    session_id = bench.new_session()
    for number in range(6):
        bench.model.script = in_order(say(f"{number} " + "æ" * 2_000))  # 4 kB
        await bench.send(session_id)

    shown = [item for item in bench.model.asked[-1].input if item["role"] == "assistant"]

    assert [item["content"][0] for item in shown] == ["3", "4"]


async def test_the_newest_turn_is_shown_whatever_its_bytes(new_bench: Any) -> None:
    bench = new_bench(agent=Agent[TurnContext](name="one"), memory_bytes=1_000)
    session_id = bench.new_session()
    for text in ("first", "x" * 5_000, "last"):
        bench.model.script = in_order(say(text))
        await bench.send(session_id)

    shown = [item["content"] for item in bench.model.asked[-1].input]

    assert shown == ["hello", "x" * 5_000, "hello"]
