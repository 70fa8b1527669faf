"""What a resumed turn replays: each answer in its place, and nothing asked twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from agents import Agent, function_tool
from pydantic import BaseModel

from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.runner.tools import effect_tool
from parley.turns.context import TurnContext
from parley_testing.models.scripted import Asked, Items, Script, by_model, call, in_order, say
from parley_testing.waiting import wait_for
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]
runs: list[str] = []


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    runs.clear()
    return each_store


@effect_tool
def note_down(effect: Any, text: str) -> str:
    """Note a text down."""
    runs.append(text)
    return f"noted {text}"


@function_tool
def look_up(text: str) -> str:
    """Look a text up, somewhere else than in Postgres."""
    runs.append(text)
    return f"found {text}, {len(runs)}"


def fail() -> Any:
    raise StoreUnavailable("agent-session store", "down")


def nested(*, streamed: bool = False) -> Agent[TurnContext]:
    """An agent with two agents as its tools."""

    async def heard(event: Any) -> None:
        runs.append("event")

    def tool(name: str) -> Any:
        inner = Agent[TurnContext](name=name, model=name, tools=[look_up])
        return inner.as_tool(f"ask_{name}", f"Ask {name}.", on_stream=heard if streamed else None)

    return Agent(name="outer", tools=[tool("a"), tool("b")])


async def interrupted(
    new_bench: NewBench, agent: Agent[TurnContext], script: Script, *, at: str
) -> UUID:
    """Run a turn until a store fails at a call of this name; the turn is then let go of."""
    bench = new_bench(script, agent=agent)
    session_id = bench.new_session()
    bench.watched.before[at] = fail
    with pytest.raises(StoreUnavailable):
        await bench.send(session_id, key="k")
    runs.clear()
    return session_id


async def test_what_is_replayed_is_what_was_said(new_bench: NewBench) -> None:
    agent = Agent[TurnContext](name="one", tools=[note_down, look_up])
    steps = in_order(
        call("note_down", "call_1", text="a") + call("look_up", "call_2", text="b"),
        call("note_down", "call_3", text="c"),
        say("first end"),
    )
    asked: list[Asked] = []

    def watched(call: Asked) -> Any:
        asked.append(call)
        return steps(call)

    session_id = await interrupted(new_bench, agent, watched, at="finish")
    bench = new_bench(in_order(say("second end")), agent=agent)

    sent = await bench.send(session_id, key="k")

    assert runs == []
    assert bench.model.asked == [asked[-1]]
    assert sent.view.reply is not None
    assert sent.view.reply.content == "second end"
    assert sent.view.turn.model_calls == 3


async def test_the_second_attempt_remembers_what_the_first_would_have(
    new_bench: NewBench,
) -> None:
    agent = Agent[TurnContext](name="one", tools=[note_down])
    script = in_order(call("note_down", text="a"), say("end"), say("end"), say("next"))
    bench = new_bench(script, agent=agent)
    undisturbed, disturbed = bench.new_session(), bench.new_session()
    bench.model.script = in_order(call("note_down", text="a"), say("end"), say("next"))
    await bench.send(undisturbed)
    await bench.send(undisturbed)
    bench.model.script = in_order(call("note_down", text="a"), say("end"))
    bench.watched.before["finish"] = fail
    with pytest.raises(StoreUnavailable):
        await bench.send(disturbed, key="k")
    bench.watched.before.clear()
    bench.model.script = in_order(say("end"), say("next"))
    await bench.send(disturbed, key="k")

    await bench.send(disturbed)

    shown = [asked.input for asked in bench.model.asked if len(asked.input) == 5]
    assert len(shown) == 2
    first, second = ([item.pop("call_id", None) for item in items] for items in shown)
    assert shown[0] == shown[1]
    # Ids are the turn's own, and the same in the call and its output.
    assert [first.index(each) for each in first] == [second.index(each) for each in second]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_parallel_agents_get_their_own_answers_again(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    b_is_done = asyncio.Event()

    async def last(text: str) -> Items:
        if text == "from a":
            await b_is_done.wait()  # the first that is called is the last that answers
        b_is_done.set()
        return say(text)

    script = by_model(
        {
            "default": in_order(
                call("ask_a", "call_a", input="x") + call("ask_b", "call_b", input="y")
            ),
            "a": in_order(call("look_up", "call_1", text="x"), lambda: last("from a")),
            "b": in_order(call("look_up", "call_1", text="y"), lambda: last("from b")),
        }
    )
    agent = nested(streamed=streamed)
    bench = new_bench(script, agent=agent)
    session_id = bench.new_session()
    recorded: list[None] = []
    keep = bench.store.record

    def noted(*answer: Any) -> None:
        keep(*answer)
        recorded.append(None)

    with monkeypatch.context() as patch:
        record = type(bench.tool_calls).record

        def only_inner(self: Any, turn: Any, made: Any) -> None:
            if made.name.startswith("ask_"):
                # One outer answer, four inner ones: kept, and not only on their way to memory.
                wait_for(lambda: len(recorded) == 5)
                fail()
            record(self, turn, made)

        patch.setattr(bench.store, "record", noted)
        patch.setattr(type(bench.tool_calls), "record", only_inner)
        with pytest.raises(StoreUnavailable):
            await bench.send(session_id, key="k")
        # Both inner agents had answered; what they said is recorded, the tools' outputs are not.
    runs.clear()
    again = new_bench(by_model({"default": in_order(say("end"))}), agent=agent)

    await again.send(session_id, key="k")

    assert [asked.model for asked in again.model.asked] == ["default"]
    outputs = {
        item["call_id"]: item["output"] for item in again.model.asked[0].input if "output" in item
    }
    assert outputs["call_a"] == "from a"
    assert outputs["call_b"] == "from b"
    assert set(runs) <= {"event"}


async def test_an_agent_reached_by_handoff_is_replayed(new_bench: NewBench) -> None:
    second = Agent[TurnContext](name="second", model="second", tools=[note_down])
    first = Agent[TurnContext](name="first", model="first", handoffs=[second])
    script = by_model(
        {
            "first": in_order(call("transfer_to_second")),
            "second": in_order(call("note_down", "call_2", text="a"), say("end")),
        }
    )
    session_id = await interrupted(new_bench, first, script, at="finish")
    bench = new_bench(by_model({"second": in_order(say("end"), say("next"))}), agent=first)

    sent = await bench.send(session_id, key="k")

    assert runs == []
    assert [asked.model for asked in bench.model.asked] == ["second"]
    assert sent.view.reply is not None
    assert sent.view.reply.content == "end"


async def test_what_follows_a_handoff_is_well_formed(new_bench: NewBench) -> None:
    second = Agent[TurnContext](name="second", model="second")
    first = Agent[TurnContext](name="first", model="first", handoffs=[second])
    script = by_model(
        {
            "first": in_order(call("transfer_to_second"), say("me again")),
            "second": in_order(say("end")),
        }
    )
    bench = new_bench(script, agent=first)
    session_id = bench.new_session()
    await bench.send(session_id)

    await bench.send(session_id)

    kinds = [item.get("type") for item in bench.model.asked[-1].input]
    assert kinds == [None, "function_call", "function_call_output", None, None]


async def test_structured_output_is_the_reply_as_json(new_bench: NewBench) -> None:
    class Weather(BaseModel):
        sunny: bool

    agent = Agent[TurnContext](name="one", output_type=Weather)
    bench = new_bench(in_order(say('{"sunny": true}')), agent=agent)

    sent = await bench.send(bench.new_session())

    assert sent.view.reply is not None
    assert json.loads(sent.view.reply.content) == {"sunny": True}


async def test_a_model_that_fails_for_an_inner_agent_is_told_to_the_outer(
    new_bench: NewBench,
) -> None:
    script = by_model(
        {
            "default": in_order(call("ask_a", input="x"), say("a cannot")),
            "a": in_order(ValueError("no")),
        }
    )
    bench = new_bench(script, agent=nested())

    sent = await bench.send(bench.new_session())

    assert sent.view.turn.status == "completed"


@pytest.mark.parametrize("inner", [False, True], ids=["outer", "inner"])
async def test_a_store_that_fails_ends_the_run(new_bench: NewBench, inner: bool) -> None:
    script = by_model(
        {
            "default": in_order(call("ask_a", input="x"), say("I go on")),
            "a": in_order(call("look_up", "call_2", text="x"), say("I go on")),
        }
    )
    bench = new_bench(script, agent=nested())
    after = 2 if inner else 1
    bench.watched.before["record"] = lambda: (
        fail() if bench.watched.calls.count("record") >= after else None
    )

    with pytest.raises(StoreUnavailable):
        await bench.send(bench.new_session())

    assert [asked.model for asked in bench.model.asked] == ["default", "a"][:after]
    assert runs == []
