"""The models that tests script do what the SDK's models do when they stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import ModelBehaviorError
from openai import APIConnectionError

from parley_testing.models.scripted import ScriptedProvider, call, in_order, say
from parley_testing.models.steps import Called, Gate, Streamed


def asked(provider: ScriptedProvider, how: str) -> Any:
    model: Any = provider.get_model(None)
    ask = getattr(model, how)
    return ask(None, "hello", None, [], None, [], None, previous_response_id=None)


async def collect(provider: ScriptedProvider, given: list[Any]) -> None:
    async for event in asked(provider, "stream_response"):
        given.append(event)


async def stream(answer: Any) -> list[Any]:
    given: list[Any] = []
    await collect(ScriptedProvider(in_order(answer)), given)
    return given


def deltas(events: list[Any]) -> list[str]:
    return [event.delta for event in events if event.type == "response.output_text.delta"]


async def test_what_is_said_at_once_is_streamed_word_by_word() -> None:
    events = await stream(say("one two") + say("three four") + call("add_task", title="x"))

    assert deltas(events) == ["one ", "two", "three ", "four"]
    assert [item.type for item in events[-1].response.output] == [
        *("reasoning", "message", "reasoning", "message"),
        "function_call",
    ]


async def test_a_stream_waits_at_its_gate() -> None:
    gate = Gate()
    given: list[Any] = []
    provider = ScriptedProvider(in_order(Streamed("Hel", gate, "lo", calls=[Called("add_task")])))
    reading = asyncio.create_task(collect(provider, given))
    await asyncio.to_thread(gate.reached)
    before = deltas(given)
    gate.open()
    await reading

    assert (before, deltas(given)) == (["Hel"], ["Hel", "lo"])
    assert provider.asked[0].streamed
    output = {item.type: item for item in given[-1].response.output}
    assert output["message"].content[0].text == "Hello"
    assert output["function_call"].name == "add_task"


async def test_nobody_at_the_gate_is_an_error() -> None:
    with pytest.raises(TimeoutError):
        Gate().reached(seconds=0)


async def test_a_whole_answer_waits_at_the_gate_too() -> None:
    gate = Gate()
    provider = ScriptedProvider(in_order(Streamed("Hel", gate, "lo")))
    asking = asyncio.create_task(asked(provider, "get_response"))
    await asyncio.to_thread(gate.reached)

    assert not asking.done()
    gate.open()
    response = await asking

    assert response.output[-1].content[0].text == "Hello"
    assert not provider.asked[0].streamed


@pytest.mark.parametrize(
    ("end", "raised"),
    [
        ("incomplete", ModelBehaviorError),
        ("failed", ModelBehaviorError),
        ("error", ModelBehaviorError),
        ("cut", APIConnectionError),
    ],
)
async def test_a_bad_end_raises(end: Any, raised: type[Exception]) -> None:
    answer = Streamed("Hel", end=end)
    with pytest.raises(raised):
        await stream(answer)
    with pytest.raises(raised):
        await asked(ScriptedProvider(in_order(answer)), "get_response")


async def test_a_stream_may_end_without_a_last_event() -> None:
    assert (await stream(Streamed("Hel", end="nothing")))[-1].type == "response.output_text.delta"


async def test_an_error_comes_where_it_is_said() -> None:
    given: list[Any] = []
    provider = ScriptedProvider(in_order(Streamed("Hel", ValueError("oh"), "lo")))
    with pytest.raises(ValueError, match="oh"):
        await collect(provider, given)
    assert deltas(given) == ["Hel"]
