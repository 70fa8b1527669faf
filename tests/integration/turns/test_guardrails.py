"""Guardrails are asked before anything follows from them, and once in a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    OutputGuardrail,
    RunConfig,
    RunContextWrapper,
    Runner,
    function_tool,
)
from sqlalchemy import text

from parley.errors import StoreUnavailable, TurnFailed
from parley.memory.store import AgentSessionStore
from parley.repository.scope import OfUser
from parley.turns.context import TurnContext
from parley_testing.models.scripted import Script, call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]
TOLD = {"api_key": "sk-\x00", "score": 0.5}


class Judge:
    """A guardrail's function that counts how often it is asked, and about what.

    Each time but the first it judges otherwise, as a model may.
    """

    def __init__(self, name: str, *, trips: bool = False) -> None:
        self.name = name
        self.asked: list[Any] = []
        self._trips = trips

    def __call__(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], about: Any
    ) -> GuardrailFunctionOutput:
        self.asked.append(about)
        again = len(self.asked) > 1
        return GuardrailFunctionOutput(TOLD, tripwire_triggered=self._trips != again)

    def on_input(self) -> InputGuardrail[TurnContext]:
        # Beside the model is the SDK's default.
        return InputGuardrail(self, name=self.name, run_in_parallel=True)

    def on_output(self) -> OutputGuardrail[TurnContext]:
        return OutputGuardrail(self, name=self.name)


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@function_tool
def look_up() -> str:
    """Look something up."""
    return "found"


async def interrupted(
    new_bench: NewBench, agent: Agent[Any], script: Script, *, at: str = "finish", after: int = 0
) -> Workbench:
    """Run a turn until its store fails, and the turn is let go of: at its end by default."""
    bench = new_bench(script, agent=agent)

    def down() -> None:
        if bench.watched.calls.count(at) > after:
            raise StoreUnavailable("agent-session store", "down")

    bench.watched.before[at] = down
    with pytest.raises(StoreUnavailable):
        await bench.send(bench.new_session(), key="k")
    bench.watched.before.clear()
    return bench


async def resumed(bench: Workbench, script: Script) -> str:
    """Send the interrupted message again, as another process would, and give the reply."""
    row = bench.database.run(OfUser("alice"), text("SELECT session_id FROM turns"))[0]
    bench.model.asked.clear()
    bench.model.script = script
    sent = await bench.send(row.session_id, key="k")
    assert sent.view.reply is not None
    assert sent.view.turn.attempt == 2
    return sent.view.reply.content


async def test_a_guardrail_that_trips_keeps_the_model_from_being_asked(
    new_bench: NewBench,
) -> None:
    judge = Judge("manners", trips=True)

    async def take_time(*arguments: Any) -> GuardrailFunctionOutput:
        # Long enough for the model to be asked beside it, and for tools to run.
        await asyncio.sleep(0.1)
        return judge(*arguments)

    guardrail = InputGuardrail[TurnContext](take_time, name="manners", run_in_parallel=True)
    agent = Agent[TurnContext](name="one", tools=[look_up], input_guardrails=[guardrail])
    bench = new_bench(in_order(call("look_up"), say("end")), agent=agent)

    with pytest.raises(TurnFailed) as failed:
        await bench.send(bench.new_session(), "something rude")

    assert bench.model.asked == []
    assert (failed.value.status, failed.value.code) == ("failed", "guardrail_tripped")
    assert "manners" in failed.value.detail
    assert judge.asked == [[{"role": "user", "content": "something rude"}]]


async def test_a_guardrail_that_trips_keeps_the_reply_from_being_seen(
    new_bench: NewBench,
) -> None:
    judge = Judge("secrets", trips=True)
    agent = Agent[TurnContext](name="one", output_guardrails=[judge.on_output()])
    bench = new_bench(in_order(say("the password is milk")), agent=agent)
    session_id = bench.new_session()

    with pytest.raises(TurnFailed) as failed:
        await bench.send(session_id)

    assert failed.value.code == "guardrail_tripped"
    assert "secrets" in failed.value.detail
    assert bench.transcript.turn("alice", session_id, failed.value.turn_id).reply is None
    assert judge.asked == ["the password is milk"]


async def test_verdicts_are_not_asked_for_again(new_bench: NewBench) -> None:
    before, after = Judge("before"), Judge("after")
    agent = Agent[TurnContext](
        name="one",
        tools=[look_up],
        input_guardrails=[before.on_input()],
        output_guardrails=[after.on_output()],
    )

    bench = await interrupted(new_bench, agent, in_order(call("look_up"), say("end")))
    reply = await resumed(bench, in_order(say("end")))

    assert reply == "end"
    assert (len(before.asked), len(after.asked)) == (1, 1)


async def test_a_verdict_is_recorded_before_the_model_is_asked(new_bench: NewBench) -> None:
    judge = Judge("manners")
    agent = Agent[TurnContext](name="one", input_guardrails=[judge.on_input()])
    bench = new_bench(in_order(say("end")), agent=agent)
    calls: list[int] = []
    bench.watched.before["record"] = lambda: calls.append(len(bench.model.asked))

    await bench.send(bench.new_session())

    assert calls == [0]


async def test_a_turn_fails_with_its_first_verdict_though_it_would_be_judged_otherwise(
    new_bench: NewBench,
) -> None:
    judge = Judge("secrets", trips=True)
    agent = Agent[TurnContext](name="one", output_guardrails=[judge.on_output()])
    bench = new_bench(in_order(say("end")), agent=agent)
    session_id = bench.new_session()
    with pytest.MonkeyPatch.context() as patch:
        # The process cannot write down how the turn ended.
        patch.setattr(type(bench.turns), "stop", _down)
        with pytest.raises(StoreUnavailable):
            await bench.send(session_id, key="k")
    bench.model.script = in_order(say("end"))

    with pytest.raises(TurnFailed) as failed:
        await bench.send(session_id, key="k")

    assert failed.value.code == "guardrail_tripped"
    assert len(judge.asked) == 1


async def test_two_guardrails_of_one_name_keep_their_own_verdicts(new_bench: NewBench) -> None:
    first, second = Judge("same"), Judge("same")
    # Input guardrails run beside each other, and moto does not create an item in one step.
    guardrails = [first.on_output(), second.on_output()]
    agent = Agent[TurnContext](name="one", tools=[look_up], output_guardrails=guardrails)

    script = in_order(call("look_up"), say("end"))
    bench = await interrupted(new_bench, agent, script)
    await resumed(bench, in_order(say("end")))

    assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_an_agent_reached_by_handoff_is_guarded(new_bench: NewBench) -> None:
    judge = Judge("after")
    target = Agent[TurnContext](name="target", output_guardrails=[judge.on_output()])
    agent = Agent[TurnContext](name="one", handoffs=[target])
    handed_over = call("transfer_to_target")

    bench = await interrupted(new_bench, agent, in_order(handed_over, say("end")))
    reply = await resumed(bench, in_order(say("end")))

    assert (reply, judge.asked) == ("end", ["end"])


async def test_an_agent_used_as_a_tool_is_guarded(new_bench: NewBench) -> None:
    before, after = Judge("before"), Judge("after")
    inner = Agent[TurnContext](
        name="inner",
        tools=[look_up],
        input_guardrails=[before.on_input()],
        output_guardrails=[after.on_output()],
    )
    agent = Agent[TurnContext](name="one", tools=[inner.as_tool("ask", "Ask.")])
    script = in_order(call("ask", input="what"), call("look_up", "call_2"), say("lost"))

    # Recorded are the outer's call, the first verdict and the inner's call, and no more.
    bench = await interrupted(new_bench, agent, script, at="record", after=3)
    reply = await resumed(bench, in_order(say("inside"), say("end")))

    assert (reply, before.asked, after.asked) == ("end", ["what"], ["inside"])


async def test_a_guardrail_that_waits_may_be_a_coroutine(new_bench: NewBench) -> None:
    judge = Judge("manners")

    async def wait(*arguments: Any) -> GuardrailFunctionOutput:
        return judge(*arguments)

    agent = Agent[TurnContext](name="one", input_guardrails=[InputGuardrail(wait)])

    bench = await interrupted(new_bench, agent, in_order(say("end")))
    await resumed(bench, in_order(say("end")))

    assert len(judge.asked) == 1


async def test_outside_a_turn_an_agent_is_guarded_as_ever(new_bench: NewBench) -> None:
    judge = Judge("manners")
    agent = Agent[TurnContext](name="one", input_guardrails=[judge.on_input()])
    bench = new_bench(in_order(say("end")), agent=agent)
    await bench.send(bench.new_session())
    bench.model.script = in_order(say("outside"))

    config = RunConfig(model_provider=bench.model, tracing_disabled=True)

    with pytest.raises(InputGuardrailTripwireTriggered):
        await Runner.run(agent, "hello", run_config=config)

    assert len(judge.asked) == 2


def _down(*_: Any, **__: Any) -> Any:
    raise StoreUnavailable("Postgres", "down")
