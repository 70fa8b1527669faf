"""What a pause costs, and who has no effect on a turn any more that has paused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from agents import Agent
from psycopg.sql import SQL, Identifier
from sqlalchemy import text

from parley import Effect, approval, effect_tool
from parley.errors import Fenced, StoreMisconfigured, StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.repository import approvals
from parley.repository.approvals import Asked, pause
from parley.repository.cancel import request_cancel
from parley.repository.database import Database
from parley.repository.tool_calls import Called, ToolCall
from parley.repository.waiting import WaitingSessions
from parley.turns.decide import Decider
from parley.turns.recover import Recovery
from parley.turns.wakeup import Waker
from parley_testing.models.scripted import call, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.workbench import Workbench, request

ASKED = [Asked("call_1", "todo", "refund", "{}")]
REFUND = call("refund", "call_r", cents=900)


def refunding() -> Agent[Any]:
    @effect_tool(needs_approval=approval())
    def refund(effect: Effect, cents: int) -> str:
        """Refund an amount."""
        effect.db.execute(
            text("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), 'alice', 'r')")
        )
        return f"refunded {cents}"

    return Agent("refunder", tools=[refund])


async def test_a_pause_a_decision_and_going_on_cost_so_many_round_trips_and_writes(
    new_bench: Callable[..., Workbench], wire: PostgresWire, wired: Database
) -> None:
    bench = new_bench(
        in_order(say("hello"), REFUND, say("Done.")), database=wired, agent=refunding()
    )
    session_id = bench.new_session()
    await bench.send(session_id)  # a warm process

    bench.watched.calls.clear()
    wire.reset()
    view = (await bench.sender.send(request(session_id), seconds=60)).view
    assert wire.round_trips == 2, wire.statements  # begin and pause
    assert bench.watched.calls == ["read_newest", "record"]

    wire.reset()
    decider = Decider(wired)
    await decider.decide(view.approvals[0].id, "approved", by="alice", may=())
    assert wire.round_trips == 2, wire.statements  # read and decide

    bench.watched.calls.clear()
    wire.reset()
    assert await bench.session_worker.run_next(session_id, seconds=60)
    assert bench.watched.calls == ["read_newest", "claim", "finish"]
    # Claim, tool calls, decisions, the tool's transaction, complete.
    assert wire.round_trips == 7, wire.statements


async def test_what_is_left_of_a_pause_is_one_row_and_what_was_recorded(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND), agent=refunding())
    await bench.sender.send(request(bench.new_session()), seconds=60)

    assert sql.execute(
        "SELECT status, waiting_for, awaited, attempt, lease_expires_at FROM turns"
    ).fetchall() == [("waiting", "decisions", 1, 2, None)]
    assert sql.execute("SELECT count(*) FROM approvals").fetchone() == (1,)


async def test_a_pause_whose_answer_was_lost_is_found_also_when_the_turn_has_gone_on(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(in_order())
    turn = bench.begin(bench.new_session())
    (asked,) = pause(bench.database, turn, ASKED, expires_in=60, spent=0) or []
    await Decider(bench.database).decide(asked.id, "rejected", by="alice", may=())
    assert bench.turns.claim_head(turn.session_id).outcome == "claimed"

    (again,) = pause(bench.database, turn, ASKED, expires_in=60, spent=0) or []

    assert (again.id, again.status) == (asked.id, "rejected")


async def test_an_attempt_that_was_replaced_cannot_pause(
    new_bench: Callable[..., Workbench], expire: Callable[..., None], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order())
    turn = bench.begin(bench.new_session())
    expire(turn.id)
    bench.turns.claim_head(turn.session_id)

    assert pause(bench.database, turn, ASKED, expires_in=60, spent=0) is None
    assert sql.execute("SELECT count(*) FROM approvals").fetchone() == (0,)


async def test_who_wakes_up_from_before_the_pause_has_no_effect_when_the_turn_runs_again(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order())
    turn = bench.begin(bench.new_session())
    (asked,) = pause(bench.database, turn, ASKED, expires_in=60, spent=0) or []
    late = ToolCall(*Called("call_late", "refund", "{}"), output="done", effect=True)

    for _ in ("while it waits", "when it runs again"):
        with pytest.raises(Fenced):
            bench.tool_calls.record(turn, late)
        assert not bench.turns.renew(turn)
        assert not bench.turns.release(turn)
        await Decider(bench.database).decide(asked.id, "approved", by="alice", may=())

    assert sql.execute("SELECT count(*) FROM tool_calls").fetchone() == (0,)


@pytest.mark.parametrize("point", ["before", "after"])
async def test_a_process_that_dies_around_the_pause_leaves_a_turn_that_goes_on(
    each_store: AgentSessionStore,
    store: AgentSessionStore,
    new_bench: Callable[..., Workbench],
    sql: psycopg.Connection,
    expire: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    bench = new_bench(in_order(REFUND, say("Done.")), agent=refunding())
    session_id = bench.new_session()
    turn = bench.begin(session_id)
    paused = approvals.pause

    def dies(*given: Any, **named: Any) -> Any:
        if point == "after":
            paused(*given, **named)
        raise StoreUnavailable("Postgres", "the process died")

    with monkeypatch.context() as patch:
        patch.setattr(approvals, "pause", dies)
        with pytest.raises(StoreUnavailable):
            await bench.execute(turn)
    if point == "before":
        assert await bench.session_worker.run_next(session_id, seconds=60)

    view = bench.transcript.turn("alice", session_id, turn.id)
    assert view.turn.status == "waiting"
    await Decider(bench.database).decide(view.approvals[0].id, "approved", by="alice", may=())
    assert await bench.session_worker.run_next(session_id, seconds=60)

    assert bench.transcript.turn("alice", session_id, turn.id).turn.status == "completed"
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (1,)
    assert len(bench.model.asked) == 2


async def test_a_decision_is_used_up_only_with_its_effect_however_often_processes_die(
    new_bench: Callable[..., Workbench],
    sql: psycopg.Connection,
    expire: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = new_bench(in_order(REFUND, say("Done.")), agent=refunding())
    session_id = bench.new_session()
    view = (await bench.sender.send(request(session_id), seconds=60)).view
    await Decider(bench.database).decide(view.approvals[0].id, "approved", by="alice", may=())

    # First before the effect, then between it and the end.
    for table, function in ((bench.tool_calls, "of_turn"), (bench.turns, "complete")):
        with monkeypatch.context() as patch:
            patch.setattr(type(table), function, _down)
            with pytest.raises(StoreUnavailable):
                await bench.session_worker.run_next(session_id, seconds=60)
    assert await bench.session_worker.run_next(session_id, seconds=60)

    over = bench.transcript.turn("alice", session_id, view.turn.id)
    assert over.turn.status == "completed"
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (1,)


def _down(*_: Any) -> Any:
    raise StoreUnavailable("Postgres", "down")


async def test_a_turn_that_asks_for_nothing_is_begun_as_before(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(in_order())
    turn = bench.begin(bench.new_session())

    assert turn == replace(turn, pauses=0)


async def test_however_often_a_turn_pauses_it_comes_no_nearer_to_being_given_up(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    again = [call("refund", f"call_{number}", cents=number) for number in range(6)]
    bench = new_bench(in_order(*again, say("Done.")), agent=refunding())
    session_id = bench.new_session()
    view = (await bench.sender.send(request(session_id, key="k"), seconds=60)).view

    def misconfigured() -> None:
        raise StoreMisconfigured("agent-session store", "the table is not there")

    while view.turn.status == "waiting":
        (asked,) = [each for each in view.approvals if each.is_open]
        await Decider(bench.database).decide(asked.id, "approved", by="alice", may=())
        bench.watched.before["claim"] = misconfigured
        with pytest.raises(StoreMisconfigured):
            await bench.session_worker.run_next(session_id, seconds=60)
        del bench.watched.before["claim"]
        assert await bench.session_worker.run_next(session_id, seconds=60)
        view = bench.transcript.turn("alice", session_id, view.turn.id)

    # Six pauses and as many tries that failed, which alone are too few to give it up.
    assert (view.turn.status, view.turn.attempt, view.turn.crashes) == ("completed", 19, 0)


@pytest.mark.parametrize("by", ["a worker", "the same request", "who cancels"])
async def test_whoever_takes_a_turn_is_told_how_often_it_has_paused(
    new_bench: Callable[..., Workbench], by: str
) -> None:
    bench = new_bench(in_order())
    message = request(bench.new_session(), key="k")
    turn = bench.turns.begin(message).turn
    for number in range(2):
        assert turn is not None
        calls = [Asked(f"{number}{each}", "todo", "refund", "{}") for each in "ab"]
        for asked in pause(bench.database, turn, calls, expires_in=60, spent=0) or []:
            await Decider(bench.database).decide(asked.id, "rejected", by="alice", may=())
        if by == "a worker" or number == 0:
            turn = bench.turns.claim_head(message.session_id).turn
        elif by == "the same request":
            turn = bench.turns.begin(message).turn
        else:
            turn = request_cancel(bench.database, "alice", message.session_id, turn.id).turn

    assert turn is not None
    assert (turn.attempt, turn.pauses, turn.tries) == (5, 2, 1)


async def test_a_pause_a_decision_and_going_on_write_so_many_rows(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND, say("Done.")), agent=refunding())
    session_id = bench.new_session()
    turn = bench.begin(session_id)
    written = Written(sql)

    view = await bench.execute(turn)
    assert written.rows() == {"sessions": 1, "turns": 1, "approvals": 1}
    # While it waits, days if need be, nothing is written, and the recovery finds nothing to do.
    assert (await Recovery(WaitingSessions(bench.database), Waker()).recover(seconds=60)).woken == 0
    assert written.rows() == {}

    await Decider(bench.database).decide(view.approvals[0].id, "approved", by="alice", may=())
    assert written.rows() == {"turns": 1, "approvals": 1}

    assert await bench.session_worker.run_next(session_id, seconds=60)
    # The session's and the turn's were each written by the claim and by the end.
    assert written.rows() == {
        "sessions": 1, "turns": 1, "tool_calls": 1, "tasks": 1, "messages": 1, "daily_usage": 1,
    }  # fmt: skip


class Written:
    """Counts the rows that were written since it was asked last, by table."""

    def __init__(self, sql: psycopg.Connection) -> None:
        self._sql = sql
        tables = sql.execute(
            "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname"
        )
        self._tables = [name for (name,) in tables]
        self._before = self._now()

    def rows(self) -> dict[str, int]:
        before, self._before = self._before, self._now()
        changed = {table: len(self._before[table] - before[table]) for table in self._tables}
        return {table: count for table, count in changed.items() if count}

    def _now(self) -> dict[str, set[tuple[str, str]]]:
        # A row that is written anew lies at another place, or is of another transaction.
        return {
            table: set(
                self._sql.execute(
                    SQL("SELECT ctid::text, xmin::text FROM {}").format(Identifier(table))
                ).fetchall()
            )
            for table in self._tables
        }
