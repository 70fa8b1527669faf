"""A store that will not take what a turn has to write: the turn ends, and its session goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent

from parley.errors import Fenced, StoreMisconfigured, StoreRefused, StoreUnavailable, TurnFailed
from parley.events.log import EventLog
from parley.events.sqlite import SqliteEventLog
from parley.memory.store import AgentSessionStore
from parley.runner.execute import MISCONFIGURED_ATTEMPTS
from parley.runner.tools import effect_tool
from parley.timing import LONGEST_DELAY_SECONDS
from parley.turns.context import Effect, TurnContext
from parley.usage.tokens import COUNT_MAX, count
from parley_testing.models import scripted
from parley_testing.models.scripted import Asked, Items, call, in_order, say
from parley_testing.schedules.wakeups import Wakeups
from parley_testing.workbench import Workbench, request
from tasks_desk import tasks

NewBench = Callable[..., Workbench]
Refuse = Callable[..., None]
MODES = ["waited for", "streamed", "background"]
DATA, DEPLOYMENT = "22003", "42501"


@effect_tool
def add(effect: Effect, title: str) -> str:
    """Add a task."""
    return tasks.add(effect.db, effect.user_id, title).title


AGENT = Agent[TurnContext](name="todo", tools=[add])


def answer(asked: Asked) -> Items:
    """Add a task, and say so."""
    if asked.input[-1].get("type") == "function_call_output":
        return say("It is there.")
    return call("add", title="milk")


@pytest.fixture
def events(tmp_path: Path) -> Iterator[EventLog]:
    with closing(SqliteEventLog(tmp_path / "events.db")) as log:
        yield log


@pytest.fixture
def wakeups() -> Wakeups:
    return Wakeups()


@pytest.fixture
def bench(new_bench: NewBench, events: EventLog, wakeups: Wakeups) -> Workbench:
    return new_bench(answer, agent=AGENT, events=events, wake_queue=wakeups)


@pytest.fixture
def refuse(sql: psycopg.Connection) -> Refuse:
    """Has Postgres refuse statements from now on."""
    sql.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = TG_ARGV[0]; END $$"
    )

    def refuse(statement: str, code: str = DATA) -> None:
        table, when = STATEMENTS[statement]
        sql.execute(
            f"CREATE TRIGGER refuse BEFORE {table} FOR EACH ROW"
            f" WHEN ({when}) EXECUTE FUNCTION refuse('{code}')"
        )

    return refuse


STATEMENTS = {
    "the output of a tool": ("INSERT ON tool_calls", "true"),
    "the reply": ("INSERT ON messages", "NEW.role = 'assistant'"),
    "the end": ("UPDATE ON turns", "NEW.status = 'completed'"),
    "the usage": ("UPDATE ON turns", "NEW.model_calls > 0"),
    "the session's activity": ("UPDATE ON sessions", "NEW.next_number = OLD.next_number"),
    "any end": ("UPDATE ON turns", "NEW.ended_at IS NOT NULL"),
}


async def send(bench: Workbench, session_id: UUID, mode: str) -> None:
    asked = request(session_id, "add milk")
    match mode:
        case "waited for":
            await bench.sender.send(asked, seconds=60)
        case "streamed":
            opened = await bench.sender.open(asked, seconds=60)
            assert opened.work is not None
            await opened.work
        case "background":
            await bench.sender.queue(asked)
            await bench.session_worker.run_next(session_id, seconds=60)


def turns(sql: psycopg.Connection) -> list[Any]:
    return sql.execute(
        "SELECT status, attempt, crashes, error_code FROM turns ORDER BY number"
    ).fetchall()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("statement", [name for name in STATEMENTS if name != "any end"])
async def test_what_postgres_will_never_take_ends_the_turn_at_once(
    bench: Workbench,
    wakeups: Wakeups,
    refuse: Refuse,
    sql: psycopg.Connection,
    statement: str,
    mode: str,
) -> None:
    session_id = bench.new_session()
    refuse(statement)

    for _ in range(2):  # and the session is not blocked by it
        with suppress(TurnFailed):
            await send(bench, session_id, mode)

    assert turns(sql) == [("failed", 1, 0, "store_refused")] * 2
    # Nobody has to look again: what is left are the watchdogs.
    assert not [wakeup for wakeup in wakeups.take_all(session_id) if 0 < wakeup.delay != 60]


@pytest.mark.parametrize("statement", ["the reply", "the usage"])
async def test_what_was_done_before_a_refusal_is_told_in_the_next_turn(
    bench: Workbench, refuse: Refuse, sql: psycopg.Connection, statement: str
) -> None:
    session_id = bench.new_session()
    refuse(statement)
    with pytest.raises(TurnFailed):
        await send(bench, session_id, "waited for")
    sql.execute("DROP FUNCTION refuse CASCADE")
    bench.model.script = in_order(say("ok"))

    await bench.send(session_id, "next")

    shown = str(bench.model.asked[-1].input)
    assert "milk" in shown
    assert "not to be repeated" in shown
    assert "It is there." not in shown
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]


@pytest.mark.parametrize("statement", ["the reply", "the session's activity"])
async def test_what_somebody_can_mend_is_tried_again_ever_later_and_is_no_crash(
    bench: Workbench, wakeups: Wakeups, refuse: Refuse, sql: psycopg.Connection, statement: str
) -> None:
    session_id = bench.new_session()
    refuse(statement, DEPLOYMENT)
    await bench.sender.queue(request(session_id, "add milk"))
    wakeups.take_all(session_id)

    delays = []
    while True:
        with suppress(StoreMisconfigured):
            await bench.session_worker.run_next(session_id, seconds=60)
        if turns(sql)[0][0] != "running":
            break
        delays += [wakeup.delay for wakeup in wakeups.take_all(session_id) if wakeup.delay != 60]

    assert turns(sql) == [("failed", MISCONFIGURED_ATTEMPTS, 0, "store_refused")]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (30, LONGEST_DELAY_SECONDS)


async def test_a_store_that_fences_whoever_holds_the_turn_is_asked_ever_later(
    bench: Workbench, wakeups: Wakeups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fence(*_: object) -> None:
        raise Fenced(1, 99)

    session_id = bench.new_session()
    monkeypatch.setattr(bench.store, "record", fence)
    await bench.sender.queue(request(session_id, "add milk"))
    wakeups.take_all(session_id)

    delays = []
    for _ in range(4):
        with pytest.raises(Fenced):
            await bench.session_worker.run_next(session_id, seconds=60)
        delays += [wakeup.delay for wakeup in wakeups.take_all(session_id) if wakeup.delay != 60]

    assert delays == [0, 1, 2, 3]


async def test_what_was_mended_meanwhile_is_completed(
    bench: Workbench, refuse: Refuse, sql: psycopg.Connection
) -> None:
    session_id = bench.new_session()
    refuse("the reply", DEPLOYMENT)
    for _ in range(5):
        with pytest.raises((StoreMisconfigured, TurnFailed)):
            await bench.send(session_id, "add milk", key="k")
    sql.execute("DROP FUNCTION refuse CASCADE")

    sent = await bench.send(session_id, "add milk", key="k")

    assert sent.view.reply is not None
    assert sent.view.reply.content == "It is there."
    assert turns(sql) == [("completed", 6, 0, None)]
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]


async def test_an_end_that_postgres_will_not_have_at_all_is_tried_ever_later(
    bench: Workbench, wakeups: Wakeups, refuse: Refuse, sql: psycopg.Connection
) -> None:
    session_id = bench.new_session()
    refuse("any end")
    await bench.sender.queue(request(session_id, "add milk"))
    wakeups.take_all(session_id)

    delays = []
    for _ in range(7):
        with pytest.raises((StoreRefused, StoreMisconfigured)):
            await bench.session_worker.run_next(session_id, seconds=60)
        delays += [wakeup.delay for wakeup in wakeups.take_all(session_id) if wakeup.delay != 60]

    assert delays == [30, 120, 240, 480, 900, 900]  # 60 is as long as a watchdog waits
    asked = len(bench.model.asked)
    sql.execute("DROP FUNCTION refuse CASCADE")
    assert await bench.session_worker.run_next(session_id, seconds=60)
    assert turns(sql) == [("failed", 8, 7, "turn_crashed")]
    assert len(bench.model.asked) == asked


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("call_", ["read_newest", "record", "finish"])
async def test_what_memory_will_never_take_ends_the_turn_at_once(
    bench: Workbench, sql: psycopg.Connection, mode: str, call_: str
) -> None:
    def refused() -> None:
        raise StoreRefused("agent-session store", "ValidationException")

    session_id = bench.new_session()
    bench.watched.before[call_] = refused

    for _ in range(2):
        with suppress(TurnFailed):
            await send(bench, session_id, mode)

    assert turns(sql) == [("failed", 1, 0, "store_refused")] * 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_store_that_is_gone_is_waited_for_and_then_given_up(
    new_bench: NewBench,
    dynamodb_client: Any,
    dynamodb_store: AgentSessionStore,
    wakeups: Wakeups,
    sql: psycopg.Connection,
    mode: str,
) -> None:
    bench = new_bench(answer, agent=AGENT, store=dynamodb_store, wake_queue=wakeups)
    session_id = bench.new_session()
    dynamodb_client.delete_table(TableName="memory")

    with pytest.raises(StoreUnavailable):  # so that a client is told to come again
        await send(bench, session_id, mode)
    delays = [
        wakeup.delay for wakeup in wakeups.take_all(session_id) if wakeup.delay not in (0, 60)
    ]
    while turns(sql)[0][0] == "running":
        with suppress(StoreUnavailable):
            await bench.session_worker.run_next(session_id, seconds=60)
        delays += [wakeup.delay for wakeup in wakeups.take_all(session_id) if wakeup.delay != 60]

    assert turns(sql) == [("failed", MISCONFIGURED_ATTEMPTS, 0, "store_refused")]
    assert len(delays) == MISCONFIGURED_ATTEMPTS - 2  # but for the one of a minute
    assert bench.model.asked == []


async def test_a_turn_is_cancelled_though_memory_is_gone(
    new_bench: NewBench,
    dynamodb_client: Any,
    dynamodb_store: AgentSessionStore,
    sql: psycopg.Connection,
) -> None:
    bench = new_bench(in_order(), agent=AGENT, store=dynamodb_store)
    turn = bench.begin(bench.new_session())
    dynamodb_client.delete_table(TableName="memory")

    cancelled = await bench.cancel(turn)

    assert cancelled.outcome == "cancelled"
    assert turns(sql) == [("cancelled", 2, 0, "turn_cancelled")]


async def test_a_turn_that_cannot_even_be_given_up_by_its_memory_is_given_up_without(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    def defect() -> None:
        raise ZeroDivisionError

    session_id = bench.new_session()
    for name in ("read_newest", "claim", "finish"):
        bench.watched.before[name] = defect
    await bench.sender.queue(request(session_id))

    for _ in range(7):
        with pytest.raises(ZeroDivisionError):
            await bench.session_worker.run_next(session_id, seconds=60)
    await bench.session_worker.run_next(session_id, seconds=60)

    assert turns(sql) == [("failed", 8, 7, "turn_crashed")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tokens", [6_824_241_167, 1_500_000_000, -5])
async def test_more_tokens_than_a_counter_holds_are_the_most_that_it_does(
    bench: Workbench,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    tokens: int,
) -> None:
    for name in ("INPUT_TOKENS", "OUTPUT_TOKENS"):
        monkeypatch.setattr(scripted, name, tokens)

    await send(bench, bench.new_session(), mode)

    most = min(2 * (count(tokens) or 0), COUNT_MAX)  # what no call can take is not believed
    row = sql.execute("SELECT status, model_calls, input_tokens, output_tokens FROM turns")
    assert row.fetchone() == ("completed", 2, most, most)
