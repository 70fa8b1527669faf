"""Tools: an effect and its record are one, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent, function_tool
from sqlalchemy import text

from parley.errors import InvalidField, NotFound, StoreUnavailable
from parley.repository.database import Database
from parley.runner.tools import effect_tool, read_tool
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import Asked, call, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.workbench import Workbench
from tasks_desk import tasks

NewBench = Callable[..., Workbench]
bodies: list[Any] = []


@pytest.fixture(autouse=True)
def forget_bodies() -> None:
    bodies.clear()


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int


@effect_tool
def add(effect: Effect, title: str) -> str:
    """Add a task."""
    bodies.append(title)
    tasks.add(effect.db, effect.user_id, title)
    return f"added {title}"


@effect_tool
def add_and_fail(effect: Effect, kind: str) -> str:
    """Add a task and fail."""
    bodies.append(kind)
    tasks.add(effect.db, effect.user_id, "half done")
    errors = {
        "not found": NotFound("task", 7),
        "invalid": InvalidField("title", "is empty"),
        "other": RuntimeError("boom"),
    }
    raise errors[kind]


@effect_tool
def typed(
    effect: Effect, one: UUID, when: datetime, colour: Colour, many: list[int], often: int = 3
) -> None:
    """Take arguments of several types.

    Args:
        one: An id.
        when: A time.
        colour: A colour.
        many: Numbers.
        often: How often.
    """
    bodies.append((one, when, colour, many, often))


OUTPUTS = {
    "text": ("as it is", "as it is"),
    "object": ({"b": 1, "a": [True, None]}, '{"b":1,"a":[true,null]}'),
    "list": ([], "[]"),
    "nothing": (None, "null"),
    "id": (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
    "time": (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
    "dataclass": (Point(1), '{"x":1}'),
    "unstorable": ("a\0b\ud800", "ab\N{REPLACEMENT CHARACTER}"),
}


@read_tool
def output(effect: Effect, kind: str) -> Any:
    """Return an output."""
    return OUTPUTS[kind][0]


@effect_tool
def whoami(effect: Effect) -> str:
    """Tell whose turn it is."""
    return f"{effect.user_id} {effect.session_id} {effect.turn_id} {effect.call_id}"


@effect_tool
def slow(effect: Effect, name: str) -> str:
    """Take a moment."""
    bodies.append(f"{name} begins in {threading.current_thread().name}")
    time.sleep(0.005)
    bodies.append(f"{name} ends in {threading.current_thread().name}")
    return name


@function_tool
def elsewhere(text: str) -> str:
    """Do something that is not in Postgres."""
    bodies.append(text)
    if text == "fail":
        raise RuntimeError("boom")
    return f"done {text}"


AGENT = Agent[TurnContext](
    name="tester", tools=[add, add_and_fail, typed, output, whoami, slow, elsewhere]
)


def told(asked: Asked) -> dict[str, Any]:
    """What the model was told of its calls, by call id."""
    return {item["call_id"]: item["output"] for item in asked.input if "output" in item}


async def test_an_effect_and_its_record_are_committed_together(
    new_bench: NewBench, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(call("add", "c", title="milk"), say("ok")), agent=AGENT)

    sent = await bench.send(bench.new_session())

    rows = sql.execute(
        "SELECT t.xmin = c.xmin, c.turn_id, call_id, name, arguments, output->'value', effect"
        " FROM tasks t, tool_calls c"
    ).fetchall()
    arguments = '{"title": "milk"}'
    output = "added milk"
    assert rows == [(True, sent.view.turn.id, "c", "add", arguments, output, True)]
    assert told(bench.model.asked[1]) == {"c": "added milk"}


async def test_an_effect_is_recorded_when_it_has_happened(
    new_bench: NewBench, sql: psycopg.Connection
) -> None:
    happened: list[datetime] = []

    @effect_tool
    def note_the_time(effect: Effect) -> None:
        """Note the time, in a transaction that has begun before."""
        effect.db.execute(text("SELECT pg_sleep(0.01)"))
        happened.append(datetime.now(UTC))

    agent = Agent[TurnContext](name="tester", tools=[note_the_time])
    bench = new_bench(in_order(call("note_the_time", "c"), say("ok")), agent=agent)

    await bench.send(bench.new_session())

    ((recorded_at,),) = sql.execute("SELECT created_at FROM tool_calls").fetchall()
    assert recorded_at >= happened[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("not found", "There is no task 7."),
        ("invalid", "title is empty."),
        ("other", "error occurred"),
    ],
)
async def test_an_exception_rolls_back_and_is_told_to_the_model(
    new_bench: NewBench, sql: psycopg.Connection, kind: str, words: str
) -> None:
    bench = new_bench(in_order(call("add_and_fail", "c", kind=kind), say("ok")), agent=AGENT)

    sent = await bench.send(bench.new_session())

    assert sent.view.turn.status == "completed"
    assert words in told(bench.model.asked[1])["c"]
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    recorded = sql.execute("SELECT output->'value', effect FROM tool_calls").fetchall()
    assert recorded == [(told(bench.model.asked[1])["c"], False)]


async def test_what_a_failed_tool_said_is_replayed_too(new_bench: NewBench) -> None:
    bench = new_bench(in_order(call("elsewhere", "c", text="fail"), say("ok")), agent=AGENT)
    session_id = bench.new_session()
    bench.watched.before["finish"] = _fail
    with pytest.raises(StoreUnavailable):
        await bench.send(session_id, key="k")
    bench.watched.before.clear()
    bench.model.script = in_order(say("ok"))

    await bench.send(session_id, key="k")

    assert bodies == ["fail"]
    assert told(bench.model.asked[-1]) == told(bench.model.asked[-2])
    assert "error occurred" in told(bench.model.asked[-1])["c"]


async def test_arguments_that_do_not_fit_are_told_to_the_model(new_bench: NewBench) -> None:
    bench = new_bench(in_order(call("add", "c", wrong=1), say("ok")), agent=AGENT)

    sent = await bench.send(bench.new_session())

    assert sent.view.turn.status == "completed"
    assert bodies == []
    assert told(bench.model.asked[1]) == {"c": "Invalid JSON input for tool add"}


async def test_a_commit_whose_answer_is_lost_is_not_repeated(
    new_bench: NewBench, wire: PostgresWire, wired: Database, sql: psycopg.Connection
) -> None:
    script = in_order(call("add", "c", title="milk"), say("ok"))
    bench = new_bench(script, agent=AGENT, database=wired)
    session_id = bench.new_session()
    wire.lose_answer("^COMMIT$")

    sent = await bench.send(session_id)

    assert sent.view.turn.status == "completed"
    assert bodies == ["milk"]
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]
    assert told(bench.model.asked[1]) == {"c": "added milk"}


async def test_a_transaction_that_is_cut_off_is_repeated(
    new_bench: NewBench, wire: PostgresWire, wired: Database, sql: psycopg.Connection
) -> None:
    script = in_order(call("add", "c", title="milk"), say("ok"))
    bench = new_bench(script, agent=AGENT, database=wired)
    session_id = bench.new_session()
    wire.lose_answer("INSERT INTO tasks")

    await bench.send(session_id)

    assert bodies == ["milk", "milk"]
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]


@pytest.mark.parametrize("statement", ["INSERT INTO turns", "SET status = 'completed'"])
async def test_a_begin_or_complete_whose_answer_is_lost_is_sent_again(
    new_bench: NewBench,
    wire: PostgresWire,
    wired: Database,
    sql: psycopg.Connection,
    statement: str,
) -> None:
    bench = new_bench(in_order(say("one"), say("two")), agent=AGENT, database=wired)
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    wire.lose_answer(statement)

    sent = await bench.send(session_id, "second")

    assert sent.view.reply is not None
    assert sent.view.reply.content == "two"
    assert sql.execute("SELECT number, status, attempt FROM turns ORDER BY number").fetchall() == [
        (1, "completed", 1),
        (2, "completed", 1),
    ]
    later = bench.transcript.turn("alice", session_id, sent.view.turn.id)
    assert later.reply is not None
    assert later.reply.id == sent.view.reply.id


async def test_tools_called_at_once_run_one_after_another(
    new_bench: NewBench, sql: psycopg.Connection
) -> None:
    names = [f"tool {number}" for number in range(6)]
    calls = [item for name in names for item in call("slow", f"call {name}", name=name)]
    bench = new_bench(in_order(calls, say("ok")), agent=AGENT)

    await bench.send(bench.new_session())

    steps = [step.partition(" in ")[0] for step in bodies]
    assert steps == [step for name in names for step in (f"{name} begins", f"{name} ends")]
    assert len({step.partition(" in ")[2] for step in bodies}) == 1
    assert told(bench.model.asked[1]) == {f"call {name}": name for name in names}
    assert sql.execute("SELECT count(*) FROM tool_calls").fetchone() == (6,)


async def test_arguments_arrive_in_their_types(new_bench: NewBench) -> None:
    arguments = {
        "one": "00000000-0000-0000-0000-000000000001",
        "when": "2026-01-02T03:04:05Z",
        "colour": "blue",
        "many": [1, 2],
        "often": 4,
    }
    bench = new_bench(in_order(call("typed", "c", **arguments), say("ok")), agent=AGENT)

    await bench.send(bench.new_session())

    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert bodies == [(UUID(int=1), when, Colour.BLUE, [1, 2], 4)]


async def test_arguments_have_defaults(new_bench: NewBench) -> None:
    arguments = {
        "one": str(UUID(int=1)), "when": "2026-01-02T00:00:00Z", "colour": "red", "many": []
    }  # fmt: skip
    bench = new_bench(in_order(call("typed", "c", **arguments), say("ok")), agent=AGENT)

    await bench.send(bench.new_session())

    assert bodies[0][4] == 3


@pytest.mark.parametrize("kind", OUTPUTS)
async def test_outputs_are_told_as_text_or_json(new_bench: NewBench, kind: str) -> None:
    bench = new_bench(in_order(call("output", "c", kind=kind), say("ok")), agent=AGENT)

    await bench.send(bench.new_session())

    assert told(bench.model.asked[1]) == {"c": OUTPUTS[kind][1]}


async def test_a_tool_takes_the_user_from_the_turn_never_from_the_model(
    new_bench: NewBench,
) -> None:
    made_up = {"user_id": "bob", "effect": {"user_id": "bob"}}
    bench = new_bench(in_order(call("whoami", "c", **made_up), say("ok")), agent=AGENT)
    session_id = bench.new_session()

    sent = await bench.send(session_id)

    (words,) = told(bench.model.asked[1]).values()
    assert "bob" not in words
    assert words == f"alice {session_id} {sent.view.turn.id} c"


async def test_what_would_have_to_be_waited_for_is_no_success(
    new_bench: NewBench, sql: psycopg.Connection
) -> None:
    def waits(effect: Effect) -> Any:
        """Return what was not waited for."""
        tasks.add(effect.db, effect.user_id, "half done")
        return asyncio.sleep(0)

    agent = Agent[TurnContext](name="one", tools=[effect_tool(waits)])
    bench = new_bench(in_order(call("waits", "c"), say("ok")), agent=agent)

    await bench.send(bench.new_session())

    assert "error occurred" in told(bench.model.asked[1])["c"]
    assert sql.execute("SELECT FROM tasks").rowcount == 0


async def test_reading_is_not_told_of_when_a_turn_fails(new_bench: NewBench) -> None:
    script = in_order(
        call("output", "c", kind="text") + call("add", "d", title="milk"),
        ValueError("no"),
        say("ok"),
    )
    bench = new_bench(script, agent=AGENT)
    session_id = bench.new_session()
    with pytest.raises(Exception, match="model_failed"):
        await bench.send(session_id)

    await bench.send(session_id)

    note = bench.model.asked[-1].input[1]["content"]
    assert f"add({json.dumps({'title': 'milk'})})" in note
    assert "output(" not in note


def _fail() -> None:
    raise StoreUnavailable("agent-session store", "down")
