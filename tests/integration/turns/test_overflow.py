"""A conversation that has grown too long for the model: less of the past is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx2
import psycopg
import pytest
from agents import Agent
from openai import BadRequestError

from parley.errors import StoreUnavailable, TurnFailed
from parley.memory.store import AgentSessionStore
from parley.runner.tools import effect_tool
from parley.turns.context import TurnContext
from parley_testing.models.scripted import Answer, Asked, Script, call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


def overflow(code: str | None = "context_length_exceeded", said: str = "Too long.") -> Exception:
    response = httpx2.Response(400, request=httpx2.Request("POST", "http://model.test/responses"))
    return BadRequestError(said, response=response, body={"code": code})


def takes(most: int, script: Script) -> Script:
    """A model that takes so many items and no more."""

    def answer(asked: Asked) -> Answer:
        return overflow() if len(asked.input) > most else script(asked)

    return answer


async def after_turns(bench: Workbench, count: int) -> UUID:
    """Make a session with so many turns, of two items each."""
    session_id = bench.new_session()
    bench.model.script = lambda asked: say("ok")
    for number in range(1, count + 1):
        await bench.send(session_id, str(number))
    bench.model.asked.clear()
    return session_id


def said_by_user(asked: Asked) -> list[str]:
    return [item["content"] for item in asked.input if item.get("role") == "user"]


async def test_half_of_the_past_is_shown_and_the_turn_goes_on(bench: Workbench) -> None:
    session_id = await after_turns(bench, 4)
    bench.model.script = takes(5, lambda asked: say("fine"))

    sent = await bench.send(session_id, "5")

    assert [said_by_user(asked) for asked in bench.model.asked] == [
        ["1", "2", "3", "4", "5"],
        ["3", "4", "5"],
    ]
    assert sent.view.reply is not None
    assert (sent.view.reply.content, sent.view.turn.attempt) == ("fine", 1)
    assert sent.view.turn.model_calls == 1


async def test_the_next_turn_begins_where_that_half_did(bench: Workbench) -> None:
    """Else each would be refused once, and begin elsewhere each time."""
    session_id = await after_turns(bench, 4)
    bench.model.script = takes(7, lambda asked: say("fine"))
    await bench.send(session_id, "5")
    bench.model.asked.clear()

    await bench.send(session_id, "6")

    assert [said_by_user(asked) for asked in bench.model.asked] == [["3", "4", "5", "6"]]


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 8192 tokens.",
        "the request exceeds the available context window",
    ],
)
async def test_a_server_without_codes_is_understood_by_its_words(
    bench: Workbench, said: str
) -> None:
    session_id = await after_turns(bench, 2)
    bench.model.script = in_order(overflow(None, said), say("fine"))

    sent = await bench.send(session_id, "3")

    assert sent.view.turn.status == "completed"


async def test_another_refusal_is_not_taken_for_it(bench: Workbench) -> None:
    session_id = await after_turns(bench, 2)
    bench.model.script = in_order(overflow("invalid_prompt", "No."))

    with pytest.raises(TurnFailed) as failed:
        await bench.send(session_id, "3")

    assert failed.value.code == "model_failed"
    assert len(bench.model.asked) == 1


async def test_half_that_is_still_too_much_is_halved_again_down_to_nothing(
    bench: Workbench,
) -> None:
    """Else a conversation whose last turn fills the model alone would be refused for good."""
    session_id = await after_turns(bench, 4)
    bench.model.script = takes(2, lambda asked: say("fine"))

    sent = await bench.send(session_id, "5")

    assert [said_by_user(asked) for asked in bench.model.asked] == [
        ["1", "2", "3", "4", "5"],
        ["3", "4", "5"],
        ["4", "5"],
        ["5"],
    ]
    assert sent.view.turn.status == "completed"
    bench.model.asked.clear()
    bench.model.script = lambda asked: say("fine")
    await bench.send(session_id, "6")
    assert [said_by_user(asked) for asked in bench.model.asked] == [["5", "6"]]


async def test_a_message_that_is_too_much_by_itself_fails_the_turn(bench: Workbench) -> None:
    session_id = await after_turns(bench, 4)
    bench.model.script = takes(0, lambda asked: say("fine"))

    with pytest.raises(TurnFailed) as failed:
        await bench.send(session_id, "5")

    assert (failed.value.status, failed.value.code) == ("failed", "context_overflow")
    assert len(bench.model.asked) == 4
    # The session goes on: a model that takes more can be asked.
    bench.model.script = lambda asked: say("fine")
    assert (await bench.send(session_id, "6")).view.turn.number == 6


async def test_where_nothing_is_past_it_is_not_tried_again(bench: Workbench) -> None:
    session_id = await after_turns(bench, 0)
    bench.model.script = takes(0, lambda asked: say("fine"))

    with pytest.raises(TurnFailed) as failed:
        await bench.send(session_id, "again")

    assert failed.value.code == "context_overflow"
    assert len(bench.model.asked) == 1


async def test_in_the_middle_of_a_run_it_goes_on_from_what_it_has(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    session_id = await after_turns(bench, 4)
    # 8 items of the past and the message are just enough; a call and its output are too much.
    steps = in_order(call("add_task", title="milk"), say("Added."))
    bench.model.script = takes(9, steps)

    sent = await bench.send(session_id, "add milk")

    assert [len(asked.input) for asked in bench.model.asked] == [9, 11, 7]
    kinds = [item.get("type") for item in bench.model.asked[-1].input[-2:]]
    assert kinds == ["function_call", "function_call_output"]
    assert sent.view.reply is not None
    assert (sent.view.reply.content, sent.view.turn.model_calls) == ("Added.", 2)
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]
    assert sql.execute("SELECT count(*) FROM tool_calls").fetchone() == (1,)


async def test_a_turn_that_fails_of_it_tells_the_next_what_was_done(bench: Workbench) -> None:
    session_id = await after_turns(bench, 2)
    bench.model.script = in_order(call("add_task", title="milk"), *[overflow()] * 3)

    with pytest.raises(TurnFailed) as failed:
        await bench.send(session_id, "add milk")

    assert failed.value.code == "context_overflow"
    assert 'add_task({"title": "milk"})' in failed.value.detail


async def test_the_next_attempt_halves_again_and_asks_nothing_twice(
    new_bench: NewBench,
) -> None:
    runs: list[str] = []

    @effect_tool
    def note_down(effect: Any, text: str) -> str:
        """Note a text down."""
        runs.append(text)
        return "noted"

    def down() -> None:
        raise StoreUnavailable("agent-session store", "down")

    agent = Agent[TurnContext](name="one", tools=[note_down])
    bench = new_bench(agent=agent)
    session_id = await after_turns(bench, 4)
    bench.model.script = takes(9, in_order(call("note_down", text="a"), say("lost")))
    bench.watched.before["finish"] = down
    with pytest.raises(StoreUnavailable):
        await bench.send(session_id, "5", key="k")
    bench.watched.before.clear()
    bench.model.asked.clear()
    bench.model.script = takes(9, in_order(say("end")))

    sent = await bench.send(session_id, "5", key="k")

    assert [len(asked.input) for asked in bench.model.asked] == [11, 7]
    assert runs == ["a"]
    assert sent.view.reply is not None
    assert (sent.view.reply.content, sent.view.turn.attempt) == ("end", 2)


async def test_a_call_that_was_recorded_beside_half_of_the_past_is_told_apart_beside_all_of_it(
    new_bench: NewBench,
) -> None:
    """Given a server that gives each turn's first call the same id."""

    @effect_tool
    def note_down(effect: Any, text: str) -> str:
        """Note a text down."""
        return f"noted {text}"

    def down() -> None:
        raise StoreUnavailable("agent-session store", "down")

    bench = new_bench(agent=Agent[TurnContext](name="one", tools=[note_down]))
    session_id = bench.new_session()
    bench.model.script = in_order(call("note_down", text="a"), say("ok"), say("ok"))
    for said in ("1", "2"):
        await bench.send(session_id, said)
    bench.model.script = takes(5, in_order(call("note_down", text="b"), say("lost")))
    bench.watched.before["finish"] = down
    with pytest.raises(StoreUnavailable):
        await bench.send(session_id, "3", key="k")
    bench.watched.before.clear()
    bench.model.script = in_order(say("end"))

    await bench.send(session_id, "3", key="k")

    shown = bench.model.asked[-1].input
    calls = [each for each in shown if each.get("type") == "function_call"]
    outputs = [each for each in shown if each.get("type") == "function_call_output"]
    assert [each["arguments"] for each in calls] == ['{"text": "a"}', '{"text": "b"}']
    assert [each["output"] for each in outputs] == ["noted a", "noted b"]
    assert [each["call_id"] for each in calls] == [each["call_id"] for each in outputs]
