"""Cancelling a turn: what the attempt that ran may still do, and what the next turn is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import UUID

import psycopg
import pytest
from agents import Agent, FunctionTool

from parley.errors import Fenced, NotFound, StoreUnavailable, TurnFailed
from parley.ids import TurnKey, conversation_key, new_id
from parley.memory.codec import Unreadable
from parley.memory.shape import assistant_message, user_message
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.database import Database
from parley.repository.turns import Ending, RunningTurn, TurnRepository, Usage
from parley.runner.tools import effect_tool, read_tool
from parley.timing import CRASH_SECONDS
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import Items, call, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.workbench import Workbench, request
from tasks_desk import tasks

NewBench = Callable[..., Workbench]
ANSWER = TurnMemory([user_message("hello"), assistant_message("hi")], "hi", {"model_calls": 1})


@pytest.fixture
def wired(new_bench: NewBench, wire: PostgresWire) -> Iterator[Workbench]:
    """A workbench whose way to the database is watched."""
    with closing(Database(lambda: wire.url, statement_timeout=10)) as database:
        yield new_bench(database=database)


def where(turn: RunningTurn) -> tuple[str, TurnKey, int]:
    return conversation_key(turn.user_id, turn.session_id), turn.key, turn.attempt


def ended(sql: psycopg.Connection, turn_id: UUID) -> tuple[object, ...] | None:
    return sql.execute(
        "SELECT status, attempt, error_code, remembered, lease_expires_at FROM turns WHERE id = %s",
        [turn_id],
    ).fetchone()


async def test_a_turn_that_waits_for_the_model_is_cancelled_and_no_tool_runs(
    new_bench: NewBench, each_store: AgentSessionStore, sql: psycopg.Connection
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def think() -> Items:
        asked.set()
        await answer.wait()
        return call("add_task", title="milk")

    bench = new_bench(in_order(think), store=each_store)
    other = new_bench(store=each_store)
    session_id = bench.new_session()
    waiting = asyncio.ensure_future(bench.send(session_id, "add milk", key="k"))
    await asked.wait()
    (turn,) = bench.transcript.turns("alice", session_id, status=None, limit=2, cursor=None).items

    cancelled = await other.canceller.cancel("alice", session_id, turn.id)
    answer.set()

    assert (cancelled.outcome, cancelled.view.turn.status) == ("cancelled", "cancelled")
    assert cancelled.view.reply is None
    with pytest.raises(TurnFailed) as told:
        await waiting
    assert (told.value.status, told.value.turn_id) == ("cancelled", turn.id)
    assert told.value.detail == "The turn was cancelled."
    assert ended(sql, turn.id) == ("cancelled", 2, "turn_cancelled", False, None)
    assert sql.execute("SELECT FROM tasks").rowcount == 0
    with pytest.raises(TurnFailed) as replayed:
        await other.send(session_id, "add milk", key="k")
    assert str(replayed.value) == str(told.value)


async def test_the_agent_is_told_what_the_tools_of_a_cancelled_turn_had_done(
    new_bench: NewBench, each_store: AgentSessionStore
) -> None:
    other = new_bench(in_order(say("It is there.")), store=each_store)

    async def cancel() -> Items:
        turn = bench.transcript.turns("alice", session_id, status=None, limit=1, cursor=None)
        await other.canceller.cancel("alice", session_id, turn.items[0].id)
        return say("Added.")

    bench = new_bench(in_order(call("add_task", title="milk"), cancel), store=each_store)
    session_id = bench.new_session()
    with pytest.raises(TurnFailed) as told:
        await bench.send(session_id, "add milk")

    await other.send(session_id, "is it there?")

    said, note, question = other.model.asked[-1].input
    assert said == {"role": "user", "content": "add milk"}
    assert note == {"role": "assistant", "content": told.value.detail}
    assert 'add_task({"title": "milk"})' in note["content"]
    assert question == {"role": "user", "content": "is it there?"}
    turn = other.transcript.turn("alice", session_id, told.value.turn_id).turn
    assert (turn.model_calls, turn.input_tokens) == (1, 5)


async def test_a_turn_without_effects_leaves_memory_as_it_was(new_bench: NewBench) -> None:
    bench = new_bench(in_order(say("one"), say("three")))
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    await bench.cancel(bench.begin(session_id, "second"))

    await bench.send(session_id, "third")

    said = [item["content"] for item in bench.model.asked[-1].input if "content" in item]
    assert "second" not in said
    assert (said[0], said[-1]) == ("first", "third")


@pytest.mark.parametrize("make", [effect_tool, read_tool])
async def test_a_tool_that_runs_beside_the_cancelling_has_no_effect_and_nothing_follows(
    new_bench: NewBench, sql: psycopg.Connection, make: Callable[..., FunctionTool]
) -> None:
    def late(effect: Effect) -> str:
        """Come late."""
        tasks.add(effect.db, effect.user_id, "late")
        asyncio.run(other.canceller.cancel("alice", effect.session_id, effect.turn_id))
        return "done"

    agent = Agent[TurnContext](name="tester", tools=[make(late)])
    bench, other = new_bench(in_order(call("late"), say("never asked")), agent=agent), new_bench()

    with pytest.raises(TurnFailed) as told:
        await bench.send(bench.new_session())

    assert told.value.detail == "The turn was cancelled."
    assert len(bench.model.asked) == 1
    assert sql.execute("SELECT FROM tasks").rowcount == 0


async def test_the_attempt_that_ran_can_write_nothing_any_more(
    new_bench: NewBench, each_store: AgentSessionStore
) -> None:
    bench = new_bench(store=each_store)
    turn = bench.begin(bench.new_session())
    response = {"output": [], "usage": {"input_tokens": 1, "output_tokens": 1}}
    each_store.record(*where(turn), "0", response)

    await bench.cancel(turn)

    for write in (
        lambda: each_store.record(*where(turn), "1", {"output": []}),
        lambda: each_store.finish(*where(turn), ANSWER),
        lambda: each_store.claim(*where(turn)),
    ):
        with pytest.raises(Fenced):
            write()
    assert bench.turns.complete(turn, "hi", Usage(), None) is None
    assert not bench.turns.renew(turn)
    assert not bench.turns.release(turn)


async def test_a_turn_that_had_its_answer_is_completed(
    new_bench: NewBench, each_store: AgentSessionStore
) -> None:
    bench = new_bench(in_order(say("bye")), store=each_store)
    turn = bench.begin(bench.new_session())
    each_store.finish(*where(turn), ANSWER)

    late = await bench.cancel(turn)

    assert (late.outcome, late.view.turn.status) == ("too_late", "completed")
    assert late.view.reply is not None
    assert late.view.reply.content == "hi"
    await bench.send(turn.session_id, "and now?")
    assert [item["content"] for item in bench.model.asked[-1].input][:2] == ["hello", "hi"]


async def test_a_turn_that_was_being_failed_is_cancelled_with_its_effects_noted(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise StoreUnavailable("postgres", "down")

    bench = new_bench(in_order(call("add_task", title="milk"), ValueError("no")))
    session_id = bench.new_session()
    with monkeypatch.context() as patch:
        patch.setattr(TurnRepository, "stop", down)
        with pytest.raises(StoreUnavailable):
            await bench.send(session_id, "add milk")
    other = new_bench(in_order(say("ok")))
    (turn,) = other.transcript.turns("alice", session_id, status=None, limit=2, cursor=None).items

    cancelled = await other.canceller.cancel("alice", session_id, turn.id)

    assert cancelled.outcome == "cancelled"
    assert cancelled.view.turn.error_detail is not None
    await other.send(session_id, "well?")
    assert other.model.asked[-1].input[1]["content"] == cancelled.view.turn.error_detail


async def test_records_that_cannot_be_read_do_not_matter(
    bench: Workbench, store: AgentSessionStore
) -> None:
    turn = bench.begin(bench.new_session())
    claim = store.claim

    def damaged(*place: object) -> None:
        claim(*place)  # type: ignore[arg-type]
        raise Unreadable("damaged")

    bench.store.claim = damaged  # type: ignore[method-assign,assignment]

    assert (await bench.cancel(turn)).outcome == "cancelled"


async def test_a_queued_turn_ends_at_once_and_the_store_is_not_asked(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    running = bench.begin(bench.new_session())
    begun = bench.turns.begin(request(running.session_id, "wait", key="k"), enqueue=True)
    assert begun.turn_id is not None

    cancelled = await bench.canceller.cancel("alice", running.session_id, begun.turn_id)

    assert (cancelled.outcome, cancelled.view.turn.status) == ("cancelled", "cancelled")
    assert bench.watched.calls == []
    assert ended(sql, begun.turn_id) == ("cancelled", 0, "turn_cancelled", False, None)
    assert bench.turns.renew(running), "the turn before it runs on"
    again = bench.turns.begin(request(running.session_id, "wait", key="k"))
    assert (again.outcome, again.status) == ("prior", "cancelled")


async def test_cancelling_twice_is_harmless_and_says_so(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    turn = bench.begin(bench.new_session())
    first = await bench.cancel(turn)
    rows = sql.execute("SELECT * FROM turns").fetchall()

    again = await bench.cancel(turn)

    assert (first.outcome, again.outcome) == ("cancelled", "already_cancelled")
    assert sql.execute("SELECT * FROM turns").fetchall() == rows


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_a_turn_that_is_over_stays_as_it_is(
    bench: Workbench, sql: psycopg.Connection, status: str
) -> None:
    turn = bench.begin(bench.new_session())
    if status == "completed":
        bench.turns.complete(turn, "hi", Usage(), None)
    else:
        bench.turns.stop(turn, Ending("failed", "x", "y", remembered=False), Usage(), None)
    rows = sql.execute("SELECT * FROM turns").fetchall()

    late = await bench.cancel(turn)

    assert (late.outcome, late.view.turn.status) == ("too_late", status)
    assert sql.execute("SELECT * FROM turns").fetchall() == rows


async def test_what_is_not_the_users_is_not_there(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    turn = bench.begin(bench.new_session())
    rows = sql.execute("SELECT * FROM turns").fetchall()

    for user, session_id, turn_id in (
        ("bob", turn.session_id, turn.id),
        ("alice", bench.new_session(), turn.id),
        ("alice", turn.session_id, new_id()),
    ):
        with pytest.raises(NotFound):
            await bench.canceller.cancel(user, session_id, turn_id)

    assert sql.execute("SELECT * FROM turns").fetchall() == rows


@pytest.mark.parametrize("again", ["cancel", "send", "work"])
async def test_a_store_that_is_down_keeps_the_wish_and_the_next_who_comes_fulfils_it(
    new_bench: NewBench, database: Database, sql: psycopg.Connection, again: str
) -> None:
    bench, other = new_bench(), new_bench(in_order(say("next")))
    turn = bench.begin(bench.new_session(), key="k")

    def down() -> None:
        raise StoreUnavailable("agent-session store", "down")

    bench.watched.before["claim"] = down
    with pytest.raises(StoreUnavailable):
        await bench.cancel(turn)

    if again == "cancel":
        assert (await other.cancel(turn)).outcome == "cancelled"
    elif again == "send":
        assert await other.send(turn.session_id, "something else")
    else:
        assert await other.session_worker.run_next(turn.session_id, seconds=60)

    assert ended(sql, turn.id) == ("cancelled", 3, "turn_cancelled", False, None)
    assert all(asked.input[-1]["content"] == "something else" for asked in other.model.asked)


async def test_two_who_cancel_at_once_agree(new_bench: NewBench, sql: psycopg.Connection) -> None:
    first, second = new_bench(), new_bench()
    turn = first.begin(first.new_session())

    def cancel_too() -> None:
        first.watched.before.clear()
        outcomes.append(asyncio.run(second.cancel(turn)).outcome)

    outcomes: list[str] = []
    first.watched.before["claim"] = cancel_too

    outcomes.append((await first.cancel(turn)).outcome)

    assert outcomes == ["cancelled", "already_cancelled"]
    assert ended(sql, turn.id) == ("cancelled", 3, "turn_cancelled", False, None)


async def test_a_session_that_is_deleted_meanwhile_is_not_there(
    new_bench: NewBench,
) -> None:
    bench = new_bench()
    turn = bench.begin(bench.new_session())
    bench.watched.before["claim"] = lambda: bench.sessions.delete("alice", turn.session_id)

    with pytest.raises(NotFound):
        await bench.cancel(turn)


async def test_a_running_turn_takes_four_round_trips_and_a_claim(
    wired: Workbench, wire: PostgresWire
) -> None:
    turn = wired.begin(wired.new_session())
    wire.reset()

    await wired.cancel(turn)

    # Taken over, its tool calls read, ended, read back.
    assert wire.round_trips == 4, wire.statements
    assert wired.watched.calls == ["claim"]


async def test_a_turn_that_is_over_or_waits_takes_two_round_trips(
    wired: Workbench, wire: PostgresWire
) -> None:
    turn = wired.begin(wired.new_session())
    waits = wired.turns.begin(request(turn.session_id), enqueue=True).turn_id
    assert waits is not None
    await wired.cancel(turn)
    wired.watched.calls.clear()

    for turn_id in (turn.id, waits):
        wire.reset()
        await wired.canceller.cancel("alice", turn.session_id, turn_id)
        assert wire.round_trips == 2, wire.statements
    assert wired.watched.calls == []


@pytest.mark.parametrize("statement", ["cancel_requested_at", "UPDATE turns t SET status = "])
async def test_a_statement_whose_answer_is_lost_is_not_noticed(
    wired: Workbench, wire: PostgresWire, statement: str
) -> None:
    turn = wired.begin(wired.new_session())
    wire.lose_answer(statement)

    cancelled = await wired.cancel(turn)

    assert cancelled.outcome == "cancelled"


async def test_who_cancels_leaves_a_wakeup_and_wakes_for_the_turn_that_waits_behind(
    new_bench: NewBench,
) -> None:
    woken: list[tuple[UUID, int]] = []

    class WakeQueue:
        def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
            woken.append((session_id, delay))

    bench = new_bench(wake_queue=WakeQueue())
    turn = bench.begin(bench.new_session())

    await bench.cancel(turn)
    assert woken == [(turn.session_id, CRASH_SECONDS)]
    woken.clear()

    running = bench.begin(turn.session_id)
    bench.turns.begin(request(turn.session_id, "next"), enqueue=True)
    await bench.cancel(running)
    assert sorted(woken) == [(turn.session_id, 0), (turn.session_id, CRASH_SECONDS)]
