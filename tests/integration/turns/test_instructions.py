"""Instructions that a function gives: text, at once or when it is waited for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from agents import Agent

from parley.turns.context import TurnContext
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]


def plain(context: Any, agent: Any) -> str:
    return "Be brief."


async def waiting(context: Any, agent: Any) -> str:
    return "Be brief."


async def worded(words: str, context: Any, agent: Any) -> str:
    return words


class Giving:
    async def __call__(self, context: Any, agent: Any) -> str:
        return "Be brief."


@pytest.mark.parametrize(
    "give",
    [plain, waiting, partial(worded, "Be brief."), Giving()],
    ids=["def", "async", "partial", "object"],
)
async def test_they_are_waited_for(new_bench: NewBench, give: Any) -> None:
    agent = Agent[TurnContext](name="one", instructions=give)
    bench = new_bench(in_order(say("Ok."), say("Ok.")), agent=agent)
    session_id = bench.new_session()

    sent = [await bench.send(session_id) for _ in range(2)]

    assert [each.view.turn.status for each in sent] == ["completed"] * 2
    assert await agent.get_system_prompt(Any) == "Be brief."  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "what"), [(None, "nothing"), (7, "int"), (["Be brief."], "list")]
)
@pytest.mark.parametrize("reached", ["at once", "by handoff", "as a tool"])
async def test_what_is_no_text_fails_the_turn_and_says_so(
    new_bench: NewBench, given: Any, what: str, reached: str
) -> None:
    faulty = Agent[TurnContext](name="faulty", instructions=lambda context, agent: given)
    outer = Agent[TurnContext](name="outer")
    agent, answers = {
        "at once": (faulty, [say("never")]),
        "by handoff": (outer.clone(handoffs=[faulty]), [call("transfer_to_faulty"), say("never")]),
        "as a tool": (
            outer.clone(tools=[faulty.as_tool("ask", "Ask.", failure_error_function=None)]),
            [call("ask", input="x"), say("never")],
        ),
    }[reached]
    bench = new_bench(in_order(*answers), agent=agent)
    turn = bench.begin(bench.new_session())

    view = await bench.execute(turn)

    assert (view.turn.status, view.turn.error_code) == ("failed", "agent_not_supported")
    assert view.turn.error_detail == (
        f"The instructions of the agent faulty gave {what}; they must give text."
    )
