"""Running the agent: what a turn leaves, and by which code it fails."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    ModelBehaviorError,
    OutputGuardrail,
    RunContextWrapper,
    function_tool,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

from parley.errors import Fenced, StoreUnavailable
from parley.memory.shape import user_message
from parley.repository.paging import PAGE_BYTES
from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.agent_run import MAX_MODEL_CALLS, AgentRunner, ContextOverflow, RunFailed
from parley.runner.prepare import prepare
from parley.turns.attempt import Attempt
from parley.turns.context import TurnContext
from parley_testing.models.scripted import ScriptedProvider, call, in_order, say
from parley_testing.stores.in_memory import Stores


class Weather(BaseModel):
    city: str


class Run:
    """A run of an agent, whose model says what the test gives it."""

    def __init__(self, *answers: Any, **agent: Any) -> None:
        self.model = ScriptedProvider(in_order(*answers))
        self.agent = Agent[TurnContext](name="one", **agent)
        self.stores = Stores()
        self.attempt: Attempt = self.stores.attempt()

    async def __call__(self, *remembered: Any) -> Any:
        prepare(self.agent)
        runner = AgentRunner(lambda _: self.model)
        return await runner.run(self.agent, self.attempt, remembered)

    async def fails(self) -> RunFailed:
        with pytest.raises(RunFailed) as failed:
            await self()
        return failed.value


@function_tool
def look() -> str:
    """Look."""
    return "sunny"


@function_tool(failure_error_function=None)
def fail() -> str:
    """Fail."""
    raise LookupError("a secret")


@function_tool(failure_error_function=None)
def ask_another() -> str:
    """Ask another agent, as its tool does."""
    raise UnsupportedAgent("The agent two brings what is not supported.")


async def test_the_model_is_shown_the_past_and_what_the_user_says_now() -> None:
    run = Run(say("ok"))
    past = [user_message("before"), {"role": "assistant", "content": "yes"}]

    await run(*past)

    (asked,) = run.model.asked
    assert [item["content"] for item in asked.input] == ["before", "yes", "hello"]


async def test_a_turn_leaves_its_items_its_reply_and_what_it_came_to() -> None:
    run = Run(call("look", "c"), say("It is sunny."), tools=[look])

    memory = await run()

    kinds = [item.get("type", item.get("role")) for item in memory.items]
    assert kinds == ["user", "function_call", "function_call_output", "assistant"]
    assert memory.reply == "It is sunny."
    assert memory.usage == {"model_calls": 2, "input_tokens": 10, "output_tokens": 6}
    assert memory.tool_calls == 1
    assert len(memory.model_steps) == 2


async def test_calls_keep_the_ids_that_they_were_recorded_with() -> None:
    run = Run(call("look", "c"), say("ok"), tools=[look])

    ids = [item["call_id"] for item in (await run()).items if "call_id" in item]

    assert ids == ["c", "c"]


async def test_a_reply_of_a_form_is_json() -> None:
    run = Run(say('{"city": "Oslo"}'), output_type=Weather)

    assert (await run()).reply == '{"city":"Oslo"}'


async def test_tools_are_given_the_agent_s_own_context() -> None:
    seen: list[Any] = []

    @function_tool
    def see(context: RunContextWrapper[Any]) -> str:
        """See."""
        seen.append(context.context)
        return "ok"

    run = Run(call("see"), say("ok"), tools=[see])
    own = Weather(city="Oslo")
    run.attempt.give_context(own)

    await run()

    assert seen == [own]
    assert seen[0] is own


def by_status(status: int, **error: Any) -> Exception:
    request = httpx2.Request("POST", "http://model.test")
    response = httpx2.Response(status, request=request, json={"error": error})
    return AsyncOpenAI(api_key="test")._make_status_error_from_response(response)


def judge(context: Any, agent: Any, judged: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered=True)


FAILURES: dict[str, tuple[list[Any], dict[str, Any], str, str]] = {
    "the server": ([by_status(400)], {}, "model_failed", "status 400"),
    "a filter": ([by_status(400, code="content_filter")], {}, "content_filtered", ""),
    "no form": ([say("no")], {"output_type": Weather}, "model_failed", "Invalid JSON"),
    "its client": ([KeyError("a secret")], {}, "model_failed", "KeyError"),
    "a tool": ([call("fail")], {"tools": [fail]}, "agent_failed", "LookupError"),
    "what is asked": (
        [say("ok")],
        {"input_guardrails": [InputGuardrail(judge, name="words")]},
        "guardrail_tripped",
        "The guardrail words",
    ),
    "what is answered": (
        [say("ok")],
        {"output_guardrails": [OutputGuardrail(judge, name="length")]},
        "guardrail_tripped",
        "The guardrail length",
    ),
    "steps": (
        [call("look", str(number)) for number in range(MAX_MODEL_CALLS)],
        {"tools": [look]},
        "too_many_steps",
        str(MAX_MODEL_CALLS),
    ),
    "no instructions": (
        [say("ok")],
        {"instructions": lambda context, agent: None},
        "agent_not_supported",
        "gave nothing",
    ),
    "within a tool": (
        [call("ask_another")],
        {"tools": [ask_another]},
        "agent_not_supported",
        "The agent two",
    ),
    "length": ([say("x" * (PAGE_BYTES + 1))], {}, "reply_too_long", str(PAGE_BYTES)),
}


@pytest.mark.parametrize(("answers", "agent", "code", "words"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_has_a_code_and_a_sentence_that_quotes_nothing(
    answers: list[Any], agent: dict[str, Any], code: str, words: str
) -> None:
    failed = await Run(*answers, **agent).fails()

    assert failed.code == code
    assert words in failed.detail
    assert "secret" not in failed.detail


async def test_too_much_past_is_told_apart_so_that_less_can_be_shown() -> None:
    run = Run(by_status(400, code="context_length_exceeded"))

    assert isinstance(await run.fails(), ContextOverflow)


async def test_after_a_deploy_that_changed_the_agent_it_is_that_which_failed() -> None:
    run = Run(ModelBehaviorError("no"))
    none = {"input_tokens": 0, "output_tokens": 0}
    run.attempt.journal.resume({"9": {"digest": "another", "output": [], "usage": none}}, {})

    assert (await run.fails()).code == "agent_changed"


@pytest.mark.parametrize("answer", [say("ok"), ValueError("no")], ids=["answer", "failure"])
async def test_what_ended_the_attempt_is_told_and_not_what_came_of_it(answer: Any) -> None:
    run = Run()

    def lost(asked: Any) -> Any:
        run.attempt.lease.broken = Fenced(1, 1)
        return answer

    run.model.script = lost

    with pytest.raises(Fenced):
        await run()


async def test_a_key_that_cannot_be_fetched_is_an_outage_and_no_failure() -> None:
    run = Run(StoreUnavailable("secrets", "down"))

    with pytest.raises(StoreUnavailable):
        await run()


async def test_a_failure_that_tells_of_nothing_that_was_said_may_be_logged_whole() -> None:
    refused = await Run(say("ok"), instructions=lambda context, agent: None).fails()
    failed = await Run(KeyError("a secret")).fails()

    assert (refused.quoting, failed.quoting) == (True, False)
    assert isinstance(refused.__cause__, UnsupportedAgent)
