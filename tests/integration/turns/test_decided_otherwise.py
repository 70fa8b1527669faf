"""A database is restored to before a decision, memory is not, and somebody decides otherwise.

What memory holds of the turn was said under the first decision: carried on with the second, the
turn would tell of what was not done, or do what it says was not. See docs/restore.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from agents import Agent
from sqlalchemy import text

from parley import Effect, approval, effect_tool
from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.repository.approvals import Approval
from parley.turns.decide import Decider
from parley_testing.models.scripted import call, in_order, say
from parley_testing.stores.backups import PostgresBackup
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]
ASKED = call("refund", "call_r", cents=900)
OTHERWISE = [("rejected", "approved"), ("approved", "rejected")]


def refunding() -> Agent[Any]:
    """An agent whose refunds have to be approved, and may be changed by who approves."""

    @effect_tool(needs_approval=approval(editable=True))
    def refund(effect: Effect, cents: int) -> str:
        """Refund an amount."""
        effect.db.execute(
            text("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), :u, :title)"),
            {"u": effect.user_id, "title": f"refund {cents}"},
        )
        return f"refunded {cents}"

    return Agent("refunder", tools=[refund])


@pytest.fixture
def make(new_bench: NewBench, each_store: AgentSessionStore) -> NewBench:
    return lambda *answers: new_bench(in_order(*answers), store=each_store, agent=refunding())


def unavailable() -> None:
    raise StoreUnavailable("agent-session store", "down")


def effects(sql: psycopg.Connection) -> list[str]:
    return [title for (title,) in sql.execute("SELECT title FROM tasks").fetchall()]


async def asked_of(bench: Workbench) -> Approval:
    """Return what a turn of a new session waits for."""
    answered = await bench.sender.send(request(bench.new_session(), "Refund me."), seconds=60)
    (asked,) = answered.view.approvals
    return asked


async def decide(bench: Workbench, asked: Approval, status: Any, **how: Any) -> None:
    await Decider(bench.database, bench.waker).decide(asked.id, status, by="alice", may=(), **how)


async def go_on(bench: Workbench, asked: Approval) -> bool:
    """Have a worker carry the turn on; tell whether there was something to do."""
    return await bench.session_worker.run_next(asked.session_id, seconds=60)


async def how_it_ended(bench: Workbench, asked: Approval) -> tuple[str, str | None]:
    """Have the turn carried on until it is over, or waits."""
    while await go_on(bench, asked):
        pass
    turn = bench.transcript.turn("alice", asked.session_id, asked.turn_id).turn
    return turn.status, turn.error_code


@pytest.mark.parametrize(("first", "then"), OTHERWISE)
async def test_a_reply_that_was_given_under_another_decision_is_not_the_turns(
    make: NewBench, sql: psycopg.Connection, first: str, then: str
) -> None:
    bench = make(ASKED, say("That is how it is."))
    asked = await asked_of(bench)
    backup = PostgresBackup(sql, "alice")
    await decide(bench, asked, first)
    await go_on(bench, asked)
    backup.restore(sql)

    await decide(bench, asked, then)

    assert await how_it_ended(bench, asked) == ("failed", "database_restored")
    assert effects(sql) == []


@pytest.mark.parametrize(("first", "then"), OTHERWISE)
async def test_what_the_model_has_said_under_another_decision_is_not_carried_on(
    make: NewBench, sql: psycopg.Connection, first: str, then: str
) -> None:
    bench = make(ASKED, call("refund", "call_s", cents=1))
    asked = await asked_of(bench)
    backup = PostgresBackup(sql, "alice")
    await decide(bench, asked, first)
    await go_on(bench, asked)  # the model is told of it, and asks for another
    backup.restore(sql)

    await decide(bench, asked, then)

    assert await how_it_ended(bench, asked) == ("failed", "database_restored")
    assert effects(sql) == []


async def test_an_amount_that_was_changed_otherwise_is_another_decision(
    make: NewBench, sql: psycopg.Connection
) -> None:
    bench = make(ASKED, call("refund", "call_s", cents=1))
    asked = await asked_of(bench)
    backup = PostgresBackup(sql, "alice")
    await decide(bench, asked, "approved", edited='{"cents": 5}')
    await go_on(bench, asked)
    backup.restore(sql)

    await decide(bench, asked, "approved", edited='{"cents": 6}')

    assert await how_it_ended(bench, asked) == ("failed", "database_restored")
    assert effects(sql) == []


async def test_who_cancels_is_not_given_a_reply_of_another_decision(
    make: NewBench, sql: psycopg.Connection
) -> None:
    bench = make(ASKED, say("It was rejected."))
    asked = await asked_of(bench)
    backup = PostgresBackup(sql, "alice")
    await decide(bench, asked, "rejected")
    await go_on(bench, asked)
    backup.restore(sql)

    await decide(bench, asked, "approved")
    cancelled = await bench.canceller.cancel("alice", asked.session_id, asked.turn_id)

    assert (cancelled.outcome, cancelled.view.reply) == ("cancelled", None)
    assert effects(sql) == []


@pytest.mark.parametrize("decision", ["approved", "rejected"])
async def test_who_decides_the_same_again_is_carried_on_with_it(
    make: NewBench, sql: psycopg.Connection, decision: str
) -> None:
    bench = make(ASKED, say("Done."), say("Done."))
    asked = await asked_of(bench)
    backup = PostgresBackup(sql, "alice")
    await decide(bench, asked, decision)
    bench.watched.before["finish"] = unavailable
    with pytest.raises(StoreUnavailable):
        await go_on(bench, asked)
    del bench.watched.before["finish"]
    backup.restore(sql)

    await decide(bench, asked, decision)

    assert await how_it_ended(bench, asked) == ("completed", None)
    assert effects(sql) == (["refund 900"] if decision == "approved" else [])
