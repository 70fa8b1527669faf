"""Tools: what is recorded of a call, and what a call that is recorded gives."""

from __future__ import annotations

import asyncio
import functools
import inspect
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from agents import Agent, FunctionTool, function_tool
from agents.tool_context import ToolContext

from parley.errors import Fenced, StoreUnavailable
from parley.repository.approvals import digest_of
from parley.repository.tool_calls import ToolCall
from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.approvals import NotCarriedOn
from parley.runner.tool_errors import RaisedBefore
from parley.runner.tools import effect_tool, read_tool, record_outputs
from parley.turns.attempt import Attempt, running
from parley.turns.caps import Caps
from parley.turns.context import Effect
from parley.turns.scope import enclosing_call
from parley_testing.stores.in_memory import SECOND_ATTEMPT, Stores


@dataclass
class City:
    name: str


class Tool:
    """A tool that gives, or raises, what the test says, and is ready for a turn."""

    def __init__(self, gives: Any = "ok", **options: Any) -> None:
        self.gives = gives
        self.calls: list[str | None] = []

        async def look() -> Any:
            """Look."""
            self.calls.append(enclosing_call())
            if isinstance(self.gives, Exception):
                raise self.gives
            given = self.gives() if callable(self.gives) else self.gives
            return await given if inspect.isawaitable(given) else given

        self.tool: FunctionTool = function_tool(**options)(look)
        record_outputs([self.tool])

    async def call(self, attempt: Attempt | None = None, call_id: str = "c") -> Any:
        context: Any = ToolContext(
            None, tool_name="look", tool_call_id=call_id, tool_arguments="{}"
        )
        if attempt is None:
            return await self.tool.on_invoke_tool(context, "{}")
        with running(attempt):
            return await self.tool.on_invoke_tool(context, "{}")


@pytest.fixture
def stores() -> Stores:
    return Stores()


@pytest.fixture
def attempt(stores: Stores) -> Attempt:
    return stores.attempt()


def resumed(stores: Stores) -> Attempt:
    """The attempt that carries on what was recorded."""
    attempt = stores.attempt(SECOND_ATTEMPT)
    attempt.journal.resume({}, stores.tool_calls.calls)
    return attempt


async def test_an_output_is_recorded_before_it_is_told(stores: Stores, attempt: Attempt) -> None:
    tool = Tool(City("Oslo"))

    told = await tool.call(attempt)

    call = stores.tool_calls.calls["c"]
    assert told == call.output == '{"name":"Oslo"}'
    assert (call.name, call.arguments, call.effect) == ("look", "{}", False)
    assert call.made_from == f"{__name__}:City"
    assert attempt.journal.value("c") is tool.gives


async def test_one_that_cannot_be_recorded_is_not_told(stores: Stores, attempt: Attempt) -> None:
    stores.tool_calls.fault = Fenced(1, 1)

    with pytest.raises(Fenced):
        await Tool().call(attempt)

    assert attempt.journal.outputs == {}


async def test_a_call_that_is_not_the_one_that_was_approved_is_not_made(
    stores: Stores, attempt: Attempt
) -> None:
    another: Any = SimpleNamespace(status="approved", digest=digest_of("", "look", '{"at":"x"}'))
    attempt.decisions = {"c": another}
    tool = Tool()

    with pytest.raises(NotCarriedOn):
        await tool.call(attempt)

    assert (tool.calls, stores.tool_calls.calls) == ([], {})
    assert isinstance(attempt.refused, NotCarriedOn)


async def test_a_call_that_is_recorded_is_not_made_again(stores: Stores, attempt: Attempt) -> None:
    tool = Tool(City("Oslo"))
    told = await tool.call(attempt)

    assert await tool.call(resumed(stores)) == told
    assert tool.calls == ["c"]


async def test_the_same_holds_for_an_answer_that_the_sdk_makes_of_an_error(
    stores: Stores, attempt: Attempt
) -> None:
    tool = Tool(ValueError("no"))
    told = await tool.call(attempt)
    tool.gives = "ok"

    assert await tool.call(resumed(stores)) == told
    assert stores.tool_calls.calls["c"].error == "ValueError"


async def test_an_exception_that_fails_the_turn_fails_it_in_every_attempt(
    stores: Stores, attempt: Attempt
) -> None:
    tool = Tool(ValueError("no"), failure_error_function=None)
    with pytest.raises(ValueError, match="no"):
        await tool.call(attempt)
    tool.gives = "ok"

    with pytest.raises(RaisedBefore, match="no") as raised:
        await tool.call(resumed(stores))

    assert (raised.value.name, tool.calls) == ("ValueError", ["c"])


@pytest.mark.parametrize(
    "error", [StoreUnavailable("postgres", "down"), Fenced(1, 1), UnsupportedAgent("no")], ids=repr
)
async def test_what_ends_the_attempt_is_no_output(
    stores: Stores, attempt: Attempt, error: Exception
) -> None:
    with pytest.raises(type(error)):
        await Tool(error, failure_error_function=None).call(attempt)

    assert stores.tool_calls.calls == {}


async def test_a_tool_whose_attempt_was_replaced_meanwhile_is_not_told(
    stores: Stores, attempt: Attempt
) -> None:
    def replaced() -> str:
        attempt.lease.broken = Fenced(1, 1)
        return "ok"

    tool = Tool(replaced)
    with pytest.raises(Fenced):
        await tool.call(attempt)
    with pytest.raises(Fenced):
        await tool.call(attempt, "d")

    assert (stores.tool_calls.calls, tool.calls) == ({}, ["c"])


async def test_a_run_that_was_refused_inside_a_tool_ends_the_turn_though_the_tool_hides_it(
    stores: Stores, attempt: Attempt
) -> None:
    def hides() -> str:
        attempt.refused = UnsupportedAgent("no")
        return "ok"

    with pytest.raises(UnsupportedAgent):
        await Tool(hides).call(attempt)

    assert stores.tool_calls.calls == {}


async def test_calls_that_are_too_many_for_one_step_are_not_made(
    stores: Stores, attempt: Attempt
) -> None:
    attempt.journal.not_called.add("c")
    tool = Tool()

    told = await tool.call(attempt)

    assert told.startswith("This call was not made: at most 32 tools")
    assert (tool.calls, stores.tool_calls.calls) == ([], {})


async def test_an_output_that_is_too_long_is_kept_whole_and_told_in_part(stores: Stores) -> None:
    tool = Tool("x" * 2_000)
    attempt = stores.attempt()
    attempt.journal._allotment._caps = Caps(output_bytes=1_500)

    told = await tool.call(attempt)

    call = stores.tool_calls.calls["c"]
    assert (len(call.output), call.told) == (2_000, 1_500)
    assert told.startswith("x" * 1_500 + "\n[Cut here")
    assert await tool.call(resumed(stores)) == told


async def test_a_call_that_takes_too_long_is_recorded_as_what_is_told_of_it(
    stores: Stores, attempt: Attempt
) -> None:
    tool = Tool(asyncio.Event().wait, timeout=0.01)

    told = await tool.call(attempt)

    assert "timed out" in told
    assert stores.tool_calls.calls["c"].error == "ToolTimeoutError"
    assert await tool.call(resumed(stores)) == told


async def test_outside_of_a_turn_a_tool_is_called_as_by_the_sdk() -> None:
    value = City("Oslo")

    assert await Tool(value).call() is value


async def test_a_replayed_call_puts_back_what_it_changed_in_the_context(stores: Stores) -> None:
    own = City("Oslo")
    call = ToolCall("c", "look", "{}", "ok", effect=False, context={"name": "Rome"})
    stores.tool_calls.record(SECOND_ATTEMPT, call)
    attempt = resumed(stores)
    attempt.give_context(own)

    await Tool().call(attempt)

    assert own.name == "Rome"


def test_a_tool_is_made_ready_once() -> None:
    tool = Tool().tool
    ready = tool.on_invoke_tool

    record_outputs([tool, tool])

    assert tool.on_invoke_tool is ready


@effect_tool
def typed(effect: Effect, one: UUID, when: datetime, many: list[int], often: int = 3) -> None:
    """Take arguments of several types.

    Args:
        one: An id.
        when: A time.
        many: Numbers.
        often: How often.
    """


def test_the_model_is_shown_the_arguments_and_not_the_effect() -> None:
    assert (typed.name, typed.description) == ("typed", "Take arguments of several types.")
    properties = typed.params_json_schema["properties"]
    assert list(properties) == ["one", "when", "many", "often"]
    assert properties["one"]["description"] == "An id."
    assert properties["one"]["format"] == "uuid"


async def test_an_effect_happens_in_a_turn_only() -> None:
    happened: list[Effect] = []

    @effect_tool
    def add(effect: Effect) -> None:
        """Add."""
        happened.append(effect)

    context: Any = ToolContext(None, tool_name="add", tool_call_id="c", tool_arguments="{}")

    assert "error occurred" in await add.on_invoke_tool(context, "{}")
    assert happened == []


async def _waits(effect: Effect) -> str:
    return "never told"


async def _gives(effect: Effect) -> Any:
    yield "never told"


class _Called:
    async def __call__(self, effect: Effect) -> str:
        return "never told"


@pytest.mark.parametrize("make", [effect_tool, read_tool])
@pytest.mark.parametrize("body", [_waits, _gives, functools.partial(_waits), _Called()])
def test_an_async_body_is_refused_where_the_tool_is_made(make: Any, body: Any) -> None:
    with pytest.raises(TypeError, match="is an async function"):
        make(body)


def test_agents_that_are_tools_are_recorded_too() -> None:
    tool = Agent[Any](name="inner").as_tool("ask", "Ask.")
    invoke = tool.on_invoke_tool

    record_outputs([tool])

    assert tool.on_invoke_tool is not invoke


def _takes_none() -> str:
    return "never told"


def _takes_a_text(title: str) -> str:
    return title


@pytest.mark.parametrize("make", [effect_tool, read_tool])
@pytest.mark.parametrize("body", [_takes_none, _takes_a_text])
def test_a_body_that_does_not_take_the_effect_is_refused_where_the_tool_is_made(
    make: Any, body: Any
) -> None:
    with pytest.raises(TypeError, match=f"{body.__name__} does not take the Effect"):
        make(body)


@pytest.mark.parametrize("make", [effect_tool, read_tool])
@pytest.mark.parametrize("annotated", [Any, object, Effect, Effect | None])
def test_a_body_takes_the_effect_as_whatever_it_may_be(make: Any, annotated: Any) -> None:
    def look(effect: Effect, title: str) -> None:
        """Look at a task."""

    look.__annotations__["effect"] = annotated

    assert list(make(look).params_json_schema["properties"]) == ["title"]


def test_parameters_without_types_are_what_the_sdk_makes_of_them() -> None:
    def add(effect, title):  # type: ignore[no-untyped-def]
        """Add a task."""

    schema = effect_tool(add).params_json_schema

    assert list(schema["properties"]) == ["title"]
