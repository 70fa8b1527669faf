"""What tools give does not multiply: caps on an output, on a step, on a turn and on the window."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from agents import (
    Agent,
    ToolOutputFileContent,
    ToolOutputImage,
    ToolOutputText,
    ToolsToFinalOutputResult,
    function_tool,
)

from parley.runner.tools import effect_tool, read_tool
from parley.turns.caps import Caps
from parley.turns.context import TurnContext
from parley_testing.models.scripted import call, in_order, say

LONG = "æ" * 60_000  # twice as many bytes
NOTE = "\n[Cut here: {} of 120000 bytes are shown. Ask for less at a time.]"
calls: list[str] = []


@function_tool
def long_text() -> str:
    """Return a long text."""
    return LONG


@read_tool
def long_rows(effect: Any) -> list[str]:
    """Return long rows."""
    return [LONG]


@function_tool
def long_parts() -> list[ToolOutputText]:
    """Return parts."""
    return [ToolOutputText(text="short"), ToolOutputText(text=LONG)]


def picture(size: int) -> ToolOutputImage:
    """Make a picture of about so many bytes."""
    return ToolOutputImage(image_url="data:image/png;base64," + "A" * size)


@function_tool
def pictures() -> list[ToolOutputText | ToolOutputImage | ToolOutputFileContent]:
    """Return pictures and a file beside a text."""
    return [
        ToolOutputText(text="these:"),
        picture(9_000),
        picture(20_000),
        ToolOutputFileContent(file_data="B" * 3_000, filename="b.pdf"),
        ToolOutputImage(image_url="https://example.com/small.png"),
    ]


@function_tool
def one_picture() -> ToolOutputImage:
    """Return a picture alone."""
    return picture(20_000)


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


async def test_images_and_files_that_are_too_large_are_left_out_for_the_model(
    carry: Any, sql: psycopg.Connection
) -> None:
    """Each would be sent again with every model call after it, and in later turns."""
    agent = Agent[TurnContext](name="one", tools=[pictures, one_picture])
    script = in_order(call("pictures", "c1") + call("one_picture", "c2"), say("ok"))

    carried = await carry(agent, script, caps=Caps(output_bytes=1_000))

    told = carried.outputs()
    assert [part["type"] for part in told["c1"]] == [
        *("input_text", "input_image", "input_text", "input_text", "input_image")
    ]
    assert told["c1"][0]["text"] == "these:"
    assert len(told["c1"][1]["image_url"]) > 9_000
    assert told["c1"][2]["text"].startswith("[An image of 200")
    assert told["c1"][3]["text"].startswith("[A file of 30")
    assert told["c1"][4]["image_url"] == "https://example.com/small.png"
    (alone,) = told["c2"]
    assert alone["text"].startswith("[An image of 200")
    lengths = sql.execute(
        "SELECT length(output::text) > CASE call_id WHEN 'c1' THEN 32000 ELSE 20000 END"
        " FROM tool_calls"
    ).fetchall()
    assert lengths == [(True,)] * 2, "the record is whole"


async def test_images_of_a_turn_count_together_with_its_texts(carry: Any) -> None:
    agent = Agent[TurnContext](name="one", tools=[one_picture, long_text])
    asked = [call("one_picture", f"c{number}") for number in range(3)]

    carried = await carry(
        agent, in_order(*asked, call("long_text", "c3"), say("ok")), caps=Caps(5_000)
    )

    told = carried.outputs()
    assert [told[f"c{number}"][0]["type"] for number in range(3)] == [
        *("input_image", "input_image", "input_text")
    ]
    assert told["c3"].startswith("æ" * 2_500 + "\n[Cut here: 5000 of")


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


@pytest.mark.parametrize("nested", [False, True])
async def test_what_models_answer_in_a_turn_is_bounded_together(carry: Any, nested: bool) -> None:
    """Each answer is sent back with every call after it, and kept for the next attempt."""
    agent = Agent[TurnContext](name="one", tools=[count])
    if nested:
        below = agent.as_tool("below", "Ask below.")
        agent = Agent[TurnContext](name="above", tools=[below])
    asked = [call("count", f"c{n}", name=f"{n}" + "x" * 8_000) for n in range(9)]
    first = [call("below", "b", input="Count.")] if nested else []

    carried = await carry(
        agent, in_order(*first, *asked, say("ok")), caps=Caps(answers_bytes=30_000)
    )

    turn = carried.view.turn
    assert (turn.status, turn.error_code) == ("failed", "model_failed")
    assert "with the turn's others it is longer than 30000 bytes" in (turn.error_detail or "")
    assert [name[0] for name in calls] == ["0", "1", "2"]


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

    # The third answer was one too many, and so was the fifth: what is left comes to 6 kB.
    assert [item["content"][0] for item in shown] == ["4"]
    turn = ["read_newest", "finish"]
    steps = [*turn * 3, *turn, "forget_before", *turn, *turn, "forget_before"]
    assert bench.watched.calls == steps, "what has no room is not missed"


async def test_the_newest_turn_is_shown_whatever_its_bytes(new_bench: Any) -> None:
    bench = new_bench(agent=Agent[TurnContext](name="one"), memory_bytes=1_000)
    session_id = bench.new_session()
    for text in ("first", "x" * 5_000, "last"):
        bench.model.script = in_order(say(text))
        await bench.send(session_id)

    shown = [item["content"] for item in bench.model.asked[-1].input]

    assert shown == ["hello", "x" * 5_000, "hello"]
