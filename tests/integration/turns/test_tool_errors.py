"""Why a tool failed: in the log with the ids, in the turn, and without what people said."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from agents import Agent, FunctionTool, function_tool
from agents.tool_context import ToolContext

from parley.errors import InvalidField
from parley.runner.tools import effect_tool, read_tool
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]
SECRET = "my secret diary"


def price(what: str) -> int:
    prices: dict[str, int] = {}
    return prices[what]  # here


@function_tool
def plain(what: str) -> int:
    """Tell a price."""
    return price(what)


@function_tool
async def waiting(what: str) -> int:
    """Tell a price, as a coroutine."""
    return price(what)


@function_tool(failure_error_function=lambda context, error: "It did not work.")
def worded(what: str) -> int:
    """Tell a price, with own words for what fails."""
    return price(what)


@function_tool(failure_error_function=None)
def raising(what: str) -> int:
    """Tell a price, or fail the turn."""
    return price(what)


@effect_tool
def buying(effect: Effect, what: str) -> int:
    """Buy something."""
    return price(what)


@read_tool
def reading(effect: Effect, what: str) -> int:
    """Read a price."""
    return price(what)


async def _invoke(context: ToolContext[Any], arguments: str) -> int:
    return price(json.loads(arguments)["what"])


own = FunctionTool("own", "Tell a price.", {"type": "object"}, _invoke, strict_json_schema=False)
inner = Agent[TurnContext](name="inner", model="inner", tools=[plain])
TOOLS = [plain, waiting, worded, raising, buying, reading, own]


def lines(log: StringIO, message: str) -> list[dict[str, Any]]:
    said = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in said if line["message"] == message]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
async def test_a_tool_that_fails_is_told_of(
    new_bench: NewBench, log_lines: StringIO, tool: FunctionTool
) -> None:
    agent = Agent[TurnContext](name="shop", tools=[tool])
    bench = new_bench(in_order(call(tool.name, what=SECRET), say("Sorry.")), agent=agent)
    session_id = bench.new_session()
    turn = bench.begin(session_id, SECRET)

    await bench.execute(turn)

    (told,) = lines(log_lines, "tool failed")
    assert (told["tool"], told["session_id"], told["turn_id"]) == (
        tool.name, str(session_id), str(turn.id)
    )  # fmt: skip
    assert told["call_id"]
    assert told["exception"][0] == "builtins.KeyError"
    line = price.__code__.co_firstlineno + 2
    assert told["at"] == f"{__file__}:{line} price"
    assert SECRET not in log_lines.getvalue()


async def test_a_tool_of_an_agent_that_is_a_tool_is_told_of(
    new_bench: NewBench, log_lines: StringIO
) -> None:
    asking = inner.as_tool("ask_inner", "Ask.")
    agent = Agent[TurnContext](name="shop", tools=[asking])
    steps = (
        call("ask_inner", input=SECRET),
        call("plain", what=SECRET),
        say("It failed."),
        say("Sorry."),
    )
    bench = new_bench(in_order(*steps), agent=agent)

    await bench.send(bench.new_session())

    assert [line["tool"] for line in lines(log_lines, "tool failed")] == ["plain"]
    assert SECRET not in log_lines.getvalue()


async def test_a_tool_that_works_leaves_no_line(new_bench: NewBench, log_lines: StringIO) -> None:
    @function_tool
    def works(what: str) -> str:
        """Work."""
        return what

    agent = Agent[TurnContext](name="shop", tools=[works])
    bench = new_bench(in_order(call("works", what=SECRET), say("Ok.")), agent=agent)

    await bench.send(bench.new_session())

    assert [json.loads(line)["message"] for line in log_lines.getvalue().splitlines()] == [
        "turn ended"
    ]


async def test_arguments_that_a_tool_refuses_are_no_failure(
    new_bench: NewBench, log_lines: StringIO
) -> None:
    @effect_tool
    def strict(effect: Effect, what: str) -> str:
        """Refuse."""
        raise InvalidField("what", SECRET)

    agent = Agent[TurnContext](name="shop", tools=[strict])
    bench = new_bench(in_order(call("strict", what="x"), say("Ok.")), agent=agent)

    await bench.send(bench.new_session())

    (told,) = lines(log_lines, "tool refused its arguments")
    assert (told["tool"], told["error"]) == ("strict", "InvalidField")
    assert SECRET not in log_lines.getvalue()


async def test_what_became_of_each_call_stands_with_its_turn(new_bench: NewBench) -> None:
    @function_tool
    def works(what: str) -> str:
        """Work."""
        return what

    agent = Agent[TurnContext](name="shop", tools=[works, plain, buying])
    steps = (
        call("works", what="x"),
        call("plain", what="x"),
        call("buying", what="x"),
        call("nowhere"),
        say("Ok."),
    )
    bench = new_bench(in_order(*steps), agent=agent)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    recorded = bench.tool_calls.of_turn(turn).values()
    assert [(each.name, each.error) for each in recorded] == [
        ("works", None),
        ("plain", "KeyError"),
        ("buying", "KeyError"),
        ("nowhere", "no such tool"),
    ]
    took = [each.milliseconds for each in recorded]
    assert all(each is not None and each >= 0 for each in took[:3])
