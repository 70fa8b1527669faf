"""Models that agents bring as objects are recorded as those are that they name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from agents import Agent, Handoff, Model, RunConfig, Runner, Usage, function_tool
from agents.items import ModelResponse

from parley.agents.brought import asked_for
from parley.config import Settings
from parley.runner import model_retry
from parley.runner.brought_models import AskedModel
from parley.runner.recording_model import completed
from parley.turns.context import TurnContext
from parley.usage.prices import Price, Prices
from parley_testing.agents_brought.outcome import Carried
from parley_testing.models.scripted import Asked, Items, ScriptedProvider, call, in_order, say
from parley_testing.waiting import longer_and_longer

SETTINGS = Settings(openai_api_key="none")
Brought = tuple[Agent[Any], list[Items]]
"""An agent, and what the deployment's model answers in its turn."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model be asked again without a pause."""
    monkeypatch.setattr(model_retry, "PAUSE_SECONDS", 0.0)


@function_tool
async def look() -> str:
    """Look."""
    return "seen"


def looks(asked: Asked) -> Items:
    """Look first, then say so: the same however often it is asked."""
    return say("I saw it.") if has_looked(asked) else call("look", "c")


def has_looked(asked: Asked) -> bool:
    return any("output" in item and item["call_id"] == "c" for item in asked.input)


def brought(script: Any = looks) -> tuple[ScriptedProvider, Model]:
    provider = ScriptedProvider(script)
    model = provider.get_model("own")
    model.model = "own-1"  # type: ignore[attr-defined]
    return provider, model


def models_of_calls(carried: Carried) -> list[str]:
    steps = carried.bench.transcript.steps("alice", carried.view.turn.id)
    return [step.name for step in steps if step.kind == "model"]


def at_once_agent(model: Model) -> Brought:
    return Agent[TurnContext](name="one", model=model, tools=[look]), []


def by_handoff(model: Model) -> Brought:
    last = Agent[TurnContext](name="last", model=model, tools=[look])
    root = Agent[TurnContext](name="one", handoffs=[last])
    return root, [call("transfer_to_last", "h")]


def by_a_handoff_that_makes_it(model: Model) -> Brought:
    async def make(context: Any, arguments: str) -> Agent[Any]:
        return Agent[TurnContext](name="made", model=model, tools=[look])

    target: Handoff[Any, Any] = Handoff(
        tool_name="make",
        tool_description="Make an agent.",
        input_json_schema={"type": "object", "properties": {}, "additionalProperties": False},
        on_invoke_handoff=make,
        agent_name="made",
    )
    return Agent[TurnContext](name="one", handoffs=[target]), [call("make", "h")]


def as_a_tool(model: Model) -> Brought:
    inner = Agent[TurnContext](name="inner", model=model, tools=[look])
    root = Agent[TurnContext](name="one", tools=[inner.as_tool("ask", "Ask.")])
    return root, [call("ask", "a", input="look"), say("I saw it.")]


def in_a_run_of_a_tool(model: Model) -> Brought:
    @function_tool
    async def ask() -> str:
        """Ask."""
        made = Agent[Any](name="made", model=model, tools=[look])
        return str((await Runner.run(made, "look")).final_output)

    root = Agent[TurnContext](name="one", tools=[ask])
    return root, [call("ask", "a"), say("I saw it.")]


def in_a_streamed_run_of_a_tool(model: Model) -> Brought:
    @function_tool
    async def ask() -> str:
        """Ask."""
        result = Runner.run_streamed(Agent[Any](name="made", model=model, tools=[look]), "look")
        async for _ in result.stream_events():
            pass
        return str(result.final_output)

    root = Agent[TurnContext](name="one", tools=[ask])
    return root, [call("ask", "a"), say("I saw it.")]


def in_the_config_of_a_run(model: Model) -> Brought:
    @function_tool
    def ask() -> str:
        """Ask."""
        made = Agent[Any](name="made", tools=[look])
        return str(Runner.run_sync(made, "look", run_config=RunConfig(model=model)).final_output)

    root = Agent[TurnContext](name="one", tools=[ask])
    return root, [call("ask", "a"), say("I saw it.")]


@pytest.mark.parametrize(
    "make",
    [
        at_once_agent,
        by_handoff,
        by_a_handoff_that_makes_it,
        as_a_tool,
        in_a_run_of_a_tool,
        in_a_streamed_run_of_a_tool,
        in_the_config_of_a_run,
    ],
    ids=lambda make: make.__name__,
)
async def test_wherever_it_is_asked_its_answers_are_recorded_and_never_asked_for_twice(
    carry: Any, make: Callable[[Model], Brought]
) -> None:
    provider, model = brought()
    agent, others = make(model)

    carried = await carry(agent, in_order(*others))

    assert carried.view.turn.status == "completed", carried.detail
    assert carried.reply == "I saw it."
    assert [has_looked(asked) for asked in provider.asked].count(False) == 1
    assert carried.view.turn.model_calls == 2 + len(others)
    assert "own-1" in models_of_calls(carried)


async def test_one_of_several_agents_and_turns_is_each_time_recorded_for_its_own(
    new_bench: Any,
) -> None:
    provider, model = brought()
    agent = Agent[TurnContext](name="one", model=model, tools=[look])
    benches = [new_bench(agent=agent) for _ in range(3)]

    views = await asyncio.gather(
        *(bench.execute(bench.begin(bench.new_session())) for bench in benches)
    )

    assert [view.turn.status for view in views] == ["completed"] * 3
    assert [view.turn.model_calls for view in views] == [2, 2, 2]
    assert len(provider.asked) == 6


class Failing(Model):
    """A model of a library of its own."""

    def __init__(self, *errors: BaseException | str) -> None:
        self.errors = [*errors]
        self.asked = 0

    async def get_response(self, *asked: Any, **named: Any) -> ModelResponse:
        self.asked += 1
        given = self.errors.pop(0)
        if isinstance(given, BaseException):
            raise given
        return ModelResponse(list(say(given)), Usage(requests=1), None)

    async def stream_response(  # type: ignore[override]
        self, *asked: Any, **named: Any
    ) -> Any:
        """Say that it cannot, without being a generator."""
        raise NotImplementedError


class Status(Exception):
    def __init__(self, status_code: int, message: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code


@pytest.fixture
def careful() -> Callable[[Model], AskedModel]:
    return lambda model: asked_for(model, SETTINGS)


@pytest.mark.parametrize(
    "error",
    [Status(529), Status(500), Status(429), TimeoutError(), httpx2.ReadError("cut")],
    ids=lambda error: f"{type(error).__name__} {getattr(error, 'status_code', '')}",
)
@pytest.mark.parametrize("logged", [False, True], ids=["waited for", "followed"])
async def test_what_may_pass_is_asked_again(
    new_bench: Any, careful: Any, log: Any, error: Exception, logged: bool
) -> None:
    model = Failing(error, error, "Hello.")
    bench = new_bench(agent=Agent[TurnContext](name="one", model=model), asking=careful, events=log)

    view = await bench.execute(bench.begin(bench.new_session()), logged=logged)

    assert view.reply.content == "Hello."
    assert model.asked == 3


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (Status(401), "model_failed", "status 401: Status"),
        (Status(400, "prompt is too long: 9 tokens"), "context_overflow", "too long"),
        (Status(400, "blocked by content_policy"), "content_filtered", "content filter"),
        (KeyError("their own"), "model_failed", "KeyError"),
    ],
    ids=["key", "overflow", "filter", "defect"],
)
async def test_what_does_not_pass_fails_the_turn_with_its_reason(
    new_bench: Any, careful: Any, error: Exception, code: str, detail: str
) -> None:
    model = Failing(error, error, error)
    bench = new_bench(agent=Agent[TurnContext](name="one", model=model), asking=careful)

    view = await bench.execute(bench.begin(bench.new_session()))

    assert view.turn.error_code == code
    assert detail in view.turn.error_detail
    assert "their own" not in view.turn.error_detail
    assert model.asked == 1


async def test_one_that_says_it_was_cancelled_does_not_keep_its_turn_for_ever(
    new_bench: Any, careful: Any
) -> None:
    model = Failing(*(asyncio.CancelledError() for _ in range(9)))
    bench = new_bench(agent=Agent[TurnContext](name="one", model=model), asking=careful)

    view = await bench.execute(bench.begin(bench.new_session()))

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert model.asked == 3


async def test_one_that_is_late_is_cancelled_with_its_turn(new_bench: Any, careful: Any) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    class Late(Failing):
        async def get_response(self, *asked: Any, **named: Any) -> ModelResponse:
            began.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()
            raise AssertionError

    agent = Agent[TurnContext](name="one", model=Late())
    for seconds in longer_and_longer(1):
        bench = new_bench(agent=agent, asking=careful, turn_seconds=seconds)

        view = await bench.execute(bench.begin(bench.new_session()))

        assert view.turn.error_code == "turn_too_long"
        if began.is_set():
            break
    assert ended.is_set()


async def test_tokens_that_nobody_told_and_prices_that_nobody_knows_are_not_nothing(
    new_bench: Any, careful: Any
) -> None:
    model = Failing("Hello.")
    bench = new_bench(agent=Agent[TurnContext](name="one", model=model), asking=careful)

    view = await bench.execute(bench.begin(bench.new_session()))

    spent = view.turn.spent
    assert (spent.calls, spent.uncounted, spent.unpriced) == (1, 1, 1)
    assert (spent.input, spent.cost) == (None, None)
    assert [step.name for step in bench.transcript.steps("alice", view.turn.id)] == ["Failing"]


@pytest.mark.parametrize(
    ("own", "cost"), [({}, None), ({"gpt-5": Price(1_000_000, 2_000_000)}, 5_000 + 6_000)]
)
async def test_its_tokens_do_not_have_the_prices_of_another_server(
    new_bench: Any, careful: Any, own: Any, cost: int | None
) -> None:
    _, model = brought(in_order(say("Hello.")))
    model.model = "gpt-5"  # type: ignore[attr-defined]
    agent = Agent[TurnContext](name="one", model=model)
    bench = new_bench(agent=agent, asking=careful, prices=Prices(own))

    view = await bench.execute(bench.begin(bench.new_session()))

    spent = view.turn.spent
    assert (spent.input, spent.output, spent.cost) == (5, 3, cost)


class Streaming(Model):
    """A model that can only stream."""

    def __init__(self, *answers: str) -> None:
        self.answers = [*answers]

    async def get_response(self, *asked: Any, **named: Any) -> ModelResponse:
        raise NotImplementedError

    async def stream_response(self, *asked: Any, **named: Any) -> AsyncIterator[Any]:
        yield completed(
            ModelResponse(list(say(self.answers.pop(0))), Usage(1, 5, output_tokens=3), None)
        )


async def test_one_that_can_only_stream_answers_who_waits_for_the_whole(
    new_bench: Any, careful: Any
) -> None:
    model = Streaming("Hello.", "Again.")
    bench = new_bench(agent=Agent[TurnContext](name="one", model=model), asking=careful)
    session_id = bench.new_session()

    for said in ("Hello.", "Again."):
        view = await bench.execute(bench.begin(session_id))
        assert (view.turn.status, view.reply.content) == ("completed", said)

    assert (view.turn.spent.input, view.turn.spent.output) == (5, 3)


def counting(input_tokens: Any) -> Usage:
    usage = Usage(requests=1, output_tokens=7)
    usage.input_tokens = input_tokens  # which is not looked at
    return usage


@pytest.mark.parametrize(
    ("usage", "known"),
    [
        (None, (None, None)),
        ({"input_tokens": 3}, (None, None)),
        (counting("12"), (None, 7)),
        (counting(float("nan")), (None, 7)),
        (counting(10**400), (None, 7)),
        (counting(-4), (None, 7)),
    ],
    ids=["none", "dict", "text", "nan", "huge", "negative"],
)
async def test_an_answer_with_an_odd_account_is_kept(
    new_bench: Any, careful: Any, usage: Any, known: Any
) -> None:
    class Odd(Failing):
        async def get_response(self, *asked: Any, **named: Any) -> ModelResponse:
            response = await super().get_response(*asked, **named)
            response.usage = usage
            return response

    bench = new_bench(agent=Agent[TurnContext](name="one", model=Odd("Hello.")), asking=careful)

    view = await bench.execute(bench.begin(bench.new_session()))

    assert (view.turn.status, view.reply.content) == ("completed", "Hello.")
    assert (view.turn.spent.input, view.turn.spent.output) == known
