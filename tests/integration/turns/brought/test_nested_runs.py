"""Runs inside a run stay inside the turn: asked of its provider, recorded, counted."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OpenAIResponsesWSModel,
    RunConfig,
    RunContextWrapper,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

from parley.runner.tools import effect_tool
from parley.turns.context import TurnContext
from parley_testing.models.scripted import (
    Items,
    Script,
    ScriptedProvider,
    Streamed,
    by_model,
    call,
    in_order,
    say,
)
from parley_testing.waiting import HANG_SECONDS, longer_and_longer, until

JUDGE = Agent[Any](name="judge", model="judge", instructions="Judge.")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes past the turn's provider fails."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@function_tool
async def ask(context: RunContextWrapper[TurnContext], question: str) -> str:
    """Ask another agent."""
    result = await Runner.run(JUDGE, question, context=context.context)
    return str(result.final_output)


@function_tool
def ask_in_a_thread(question: str) -> str:
    """Ask another agent, and wait for it."""
    return str(Runner.run_sync(JUDGE, question).final_output)


@function_tool
def ask_in_a_loop(question: str) -> str:
    """Ask another agent in a loop of one's own."""
    return str(asyncio.run(Runner.run(JUDGE, question)).final_output)


@function_tool
async def ask_streamed(question: str) -> str:
    """Ask another agent, and hear it speak."""
    result = Runner.run_streamed(JUDGE, question)
    async for _ in result.stream_events():
        pass
    return str(result.final_output)


@pytest.mark.parametrize(
    "tool", [ask, ask_in_a_thread, ask_in_a_loop, ask_streamed], ids=lambda tool: tool.name
)
async def test_a_tool_s_run_is_the_turn_s(carry: Any, tool: Any) -> None:
    agent = Agent[TurnContext](name="one", tools=[tool])
    script = by_model(
        {
            "default": in_order(call(tool.name, "c", question="why?"), say("Because.")),
            "judge": in_order(say("so")),
        }
    )

    carried = await carry(agent, script)

    assert carried.reply == "Because."
    assert carried.outputs() == {"c": "so"}
    assert [asked.model for asked in carried.bench.model.asked].count("judge") == 1
    assert carried.view.turn.model_calls == 3
    assert carried.told("message.delta") == [] or carried.followed


async def test_a_tool_of_a_tool_s_run_is_told_below_its_call(
    carry: Any, sql: psycopg.Connection
) -> None:
    @effect_tool
    def note(effect: Any) -> str:
        """Note."""
        return f"noted for {effect.user_id}"

    worker = Agent[Any](name="worker", model="worker", tools=[note])

    @function_tool
    async def work() -> str:
        """Have it done."""
        return str((await Runner.run(worker, "do it")).final_output)

    agent = Agent[TurnContext](name="one", tools=[work])
    script = by_model(
        {
            "default": in_order(call("work", "c1"), say("Done.")),
            "worker": in_order(call("note", "c2"), say("noted")),
        }
    )

    carried = await carry(agent, script)

    assert carried.reply == "Done."
    assert sql.execute(
        "SELECT name, output->>'value' FROM tool_calls ORDER BY name"
    ).fetchall() == [
        ("note", "noted for alice"),
        ("work", "noted"),
    ]
    if carried.followed and carried.view.turn.attempt == 1:
        assert [(each["name"], each["within"]) for each in carried.told("tool.called")] == [
            ("work", None),
            ("note", "c1"),
        ]


class Verdict(BaseModel):
    """What the SDK's example of a guardrail has its agent answer."""

    reasoning: str
    is_math_homework: bool


async def test_a_guardrail_s_run_is_the_turn_s(carry: Any) -> None:
    judge = Agent[Any](name="judge", model="judge", output_type=Verdict)

    async def math_guardrail(context: Any, agent: Any, said: Any) -> GuardrailFunctionOutput:
        result = await Runner.run(judge, said, context=context.context)
        verdict = result.final_output_as(Verdict)
        return GuardrailFunctionOutput(verdict, verdict.is_math_homework)

    def agent(trips: bool) -> tuple[Agent[TurnContext], Any]:
        verdict = Verdict(reasoning="it says so", is_math_homework=trips).model_dump_json()
        return Agent(name="one", input_guardrails=[InputGuardrail(math_guardrail)]), by_model(
            {"default": in_order(say("Hello.")), "judge": in_order(say(verdict))}
        )

    passed = await carry(*agent(trips=False))
    stopped = await carry(*agent(trips=True))

    assert passed.reply == "Hello."
    assert passed.view.turn.model_calls == 2
    assert [asked.model for asked in passed.bench.model.asked][:2] == ["judge", "default"]
    assert passed.told("message.delta") == [] or "it says so" not in str(passed.events)
    assert stopped.code == "guardrail_tripped"
    assert [asked.model for asked in stopped.bench.model.asked] == ["judge"]


async def test_runs_beside_each_other_get_their_own_answers_again(carry: Any) -> None:
    b_is_done = asyncio.Event()
    counted: list[str] = []

    async def last(text: str) -> Items:
        if text == "from a":
            await b_is_done.wait()  # the first that is called is the last that answers
        b_is_done.set()
        return say(text)

    @function_tool
    def count() -> str:
        """Count."""
        counted.append("once")
        return "counted"

    async def instructions(context: Any, agent: Any) -> str:
        a, b = (Agent[Any](name=name, model=name, tools=[count]) for name in "ab")
        results = await asyncio.gather(Runner.run(a, "x"), Runner.run(b, "y"))
        return " ".join(str(result.final_output) for result in results)

    agent = Agent[TurnContext](name="one", instructions=instructions)
    script = by_model(
        {
            "a": in_order(call("count", "c1"), lambda: last("from a")),
            "b": in_order(call("count", "c2"), lambda: last("from b")),
            "default": in_order(say("Hello.")),
        }
    )

    carried = await carry(agent, script)

    assert carried.reply == "Hello."
    assert len(counted) == 2
    assert carried.view.turn.model_calls == 5


async def test_a_run_that_brings_its_own_provider_is_recorded(carry: Any) -> None:
    own = ScriptedProvider(in_order(say("mine")))

    @function_tool
    async def ask_mine() -> str:
        """Ask one's own model."""
        config = RunConfig(model_provider=own, model="large")
        return str((await Runner.run(JUDGE, "why?", run_config=config)).final_output)

    agent = Agent[TurnContext](name="one", tools=[ask_mine])

    carried = await carry(agent, in_order(call("ask_mine", "c"), say("ok")))

    assert carried.outputs() == {"c": "mine"}
    assert [asked.model for asked in own.asked] == ["large"]
    assert carried.view.turn.model_calls == 3


@effect_tool
def ask_in_a_transaction(effect: Any) -> str:
    """Ask another agent while a transaction waits."""
    return str(Runner.run_sync(JUDGE, "why?").final_output)


@function_tool
async def ask_over_a_websocket() -> str:
    """Ask an agent that brings a model with a connection of its own."""
    own = OpenAIResponsesWSModel("gpt-5", AsyncOpenAI(api_key="none"))
    return str((await Runner.run(Agent[Any](name="bringer", model=own), "why?")).final_output)


@function_tool
async def configure_a_websocket() -> str:
    """Have an agent ask such a model."""
    config = RunConfig(model=OpenAIResponsesWSModel("gpt-5", AsyncOpenAI(api_key="none")))
    return str((await Runner.run(JUDGE, "why?", run_config=config)).final_output)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (ask_in_a_transaction, "cannot run an agent"),
        (ask_over_a_websocket, "The agent bringer brings"),
        (configure_a_websocket, "The RunConfig of a run brings"),
    ],
    ids=["in a transaction", "a websocket", "a websocket in the config"],
)
@pytest.mark.parametrize("nested", [False, True], ids=["root", "nested"])
async def test_a_run_that_cannot_be_recorded_ends_the_turn_with_a_reason(
    carry: Any, tool: Any, words: str, nested: bool
) -> None:
    agent = Agent[TurnContext](name="one", tools=[tool])
    script = in_order(call(tool.name, "c"), say("never"))
    if nested:
        agent = Agent(name="outer", tools=[agent.as_tool("inner", "Asks.")])
        script = in_order(call("inner", "c0", input="x"), call(tool.name, "c"), say("never"))

    carried = await carry(agent, script)

    assert carried.code == "agent_not_supported"
    assert words in carried.detail


async def test_outside_a_turn_a_run_is_the_sdk_s(carry: Any) -> None:
    await carry(Agent[TurnContext](name="one"), in_order(say("Hello.")))
    own = ScriptedProvider(in_order(say("outside")))

    result = await Runner.run(
        JUDGE, "hello", run_config=RunConfig(model_provider=own, tracing_disabled=True)
    )

    assert result.final_output == "outside"


async def test_a_run_in_a_thread_ends_with_its_turn(new_bench: Any) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def never() -> Streamed:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
        return Streamed("never")

    agent = Agent[TurnContext](name="one", tools=[ask_in_a_thread])

    def script() -> Script:
        return by_model(
            {
                "default": in_order(call("ask_in_a_thread", "c", question="why?")),
                "judge": lambda asked: never,
            }
        )

    for seconds in longer_and_longer(1):
        bench = new_bench(script(), agent=agent, turn_seconds=seconds)

        view = await bench.execute(bench.begin(bench.new_session()))

        assert view.turn.error_code == "turn_too_long"
        if began.is_set():
            break
    assert ended.is_set()


async def test_a_run_that_a_thread_makes_when_its_turn_is_over_asks_nobody(new_bench: Any) -> None:
    begun, over, left = (threading.Event() for _ in range(3))

    @function_tool
    def ask_late() -> str:
        """Ask another agent when nobody waits for it any more."""
        begun.set()
        over.wait(HANG_SECONDS)
        try:
            return str(Runner.run_sync(JUDGE, "why?").final_output)
        finally:
            left.set()

    agent = Agent[TurnContext](name="one", tools=[ask_late])
    for seconds in longer_and_longer(0.3):
        script = by_model({"default": in_order(call("ask_late")), "judge": lambda _: say("so")})
        bench = new_bench(script, agent=agent, turn_seconds=seconds)

        view = await bench.execute(bench.begin(bench.new_session()))

        assert view.turn.error_code == "turn_too_long"
        if begun.is_set():
            break
    over.set()
    await until(left.is_set)

    assert [asked.model for asked in bench.model.asked] == ["default"]
