"""Rules of turns that wait (turn-protocol, the states of a turn)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from agents import Agent, function_tool
from sqlalchemy import text

from parley.errors import Fenced
from parley.repository import approvals, cancel, turns
from parley.repository.approvals import Approval, Asked, Decided, pause
from parley.repository.tool_calls import Called, ToolCall
from parley.repository.turns import RunningTurn
from parley.repository.waiting import WaitingSessions
from parley.runner import approvals as carried_out
from parley.turns.decide import Decider
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench, request

LATE = ToolCall(*Called("late", "pay", "{}"), output="paid", effect=True)


def asked(*calls: str) -> list[Asked]:
    return [Asked(call_id, "todo", "pay", "{}") for call_id in calls]


def paused(bench: Workbench, turn: RunningTurn, *calls: str) -> Any:
    return pause(bench.database, turn, asked(*calls), expires_in=60, spent=0)


async def test_a_pause_uses_up_the_attempt(kept: bool, rule: Any, bench: Workbench) -> None:
    """Else who wakes up from before it has the right number again when the turn goes on."""
    rule.without(approvals, "_PAUSE", "attempt = t.attempt + 1,")
    turn = bench.begin(bench.new_session())
    (approval,) = paused(bench, turn, "one")
    await Decider(bench.database).decide(approval.id, "rejected", by="alice", may=())

    try:
        bench.tool_calls.record(turn, LATE)
        late = True
    except Fenced:
        late = False

    assert late == (not kept)


async def test_only_who_holds_a_turn_lets_it_wait(
    kept: bool, rule: Any, bench: Workbench, sql: psycopg.Connection
) -> None:
    """Else an attempt that was replaced stops the one that runs."""
    rule.without(approvals, "_PAUSE", "AND t.attempt = :attempt")
    turn = bench.begin(bench.new_session())
    sql.execute("UPDATE turns SET attempt = 2")

    assert (paused(bench, turn, "one") is None) == kept


async def test_what_is_awaited_is_counted_in_the_turn_s_row(
    kept: bool,
    rule: Any,
    bench: Workbench,
    at_once: Callable[..., list[Any]],
) -> None:
    """Of two who decide at once each sees the other's approval open: neither would be the last."""
    snapshot = (
        "EXISTS (SELECT FROM approvals o WHERE o.turn_id = decided.turn_id AND o.status = 'open'"
        " AND o.id <> decided.id)"
    )
    rule.instead(
        approvals, "_DECIDE", text(approvals._DECIDE.text.replace("t.awaited > 1", snapshot))
    )
    turn = bench.begin(bench.new_session())
    both = paused(bench, turn, "one", "two")

    told = at_once(
        "SELECT FROM sessions FOR NO KEY UPDATE",
        *(partial(_approve, bench, each) for each in both),
    )

    assert all(isinstance(each, Decided) for each in told), told
    assert bench.turns.claim_head(turn.session_id).outcome == ("claimed" if kept else "waiting")


async def test_what_was_decided_is_decided_on_no_more(
    kept: bool, rule: Any, bench: Workbench
) -> None:
    """Else one decision counts twice, and the turn goes on before all is decided."""
    rule.instead(
        approvals, "_DECIDE", text(approvals._DECIDE.text.replace("AND a.status = 'open'", ""))
    )
    turn = bench.begin(bench.new_session())
    first, _ = paused(bench, turn, "one", "two")

    for _ in range(2):
        _approve(bench, first)

    assert bench.turns.claim_head(turn.session_id).outcome == ("waiting" if kept else "claimed")


async def test_who_waited_for_a_cancel_decides_on_nothing(
    kept: bool, rule: Any, bench: Workbench, at_once: Callable[..., list[Any]]
) -> None:
    """Else what was stopped is approved afterwards: who decides saw it open before the lock."""
    rule.without(
        approvals, "_DECIDE", "WHERE a.id = found.id AND a.status = 'open'", "WHERE a.id = found.id"
    )
    turn = bench.begin(bench.new_session())
    (approval,) = paused(bench, turn, "one")

    at_once(
        "SELECT FROM sessions FOR NO KEY UPDATE",
        partial(_cancel, bench, turn),
        partial(_approve, bench, approval),
    )

    assert status_of(bench, approval) == ("cancelled" if kept else "approved")


async def test_nobody_is_asked_any_more_for_a_turn_that_was_cancelled(
    kept: bool, rule: Any, bench: Workbench
) -> None:
    rule.without(cancel, "_CANCEL", "WHERE a.turn_id = asked.id AND", "WHERE false AND")
    turn = bench.begin(bench.new_session())
    (approval,) = paused(bench, turn, "one")

    _cancel(bench, turn)

    assert status_of(bench, approval) == ("cancelled" if kept else "open")


async def test_what_is_past_its_time_is_not_approved(
    kept: bool, rule: Any, bench: Workbench
) -> None:
    rule.instead(
        approvals, "_DECIDE", text(approvals._DECIDE.text.replace("a.expires_at > now()", "true"))
    )
    turn = bench.begin(bench.new_session())
    (approval,) = pause(bench.database, turn, asked("one"), expires_in=-1, spent=0) or []

    _approve(bench, approval)

    assert status_of(bench, approval) == ("expired" if kept else "approved")


async def test_a_turn_that_goes_on_is_as_one_that_was_let_go_of(
    kept: bool, rule: Any, bench: Workbench
) -> None:
    """Else each pause counts as a crash, and a turn that pauses often is given up."""
    rule.instead(
        approvals,
        "_DECIDE",
        text(approvals._DECIDE.text.replace("'-infinity'::timestamptz", "now() - interval '1 s'")),
    )
    turn = bench.begin(bench.new_session())
    (approval,) = paused(bench, turn, "one")

    _approve(bench, approval)

    claimed = bench.turns.claim_head(turn.session_id).turn
    assert claimed is not None
    assert claimed.crashes == (0 if kept else 1)


async def test_the_recovery_wakes_for_what_was_decided_though_it_had_woken_for_it_before(
    kept: bool, rule: Any, bench: Workbench, sql: psycopg.Connection
) -> None:
    """Else a turn whose decider died is left to a worker that has come and gone."""
    rule.without(approvals, "_DECIDE", ", woken_at = NULL")
    turn = bench.begin(bench.new_session())
    (approval,) = paused(bench, turn, "one")
    sql.execute("UPDATE turns SET woken_at = now()")

    _approve(bench, approval)

    assert WaitingSessions(bench.database).find(10).due == (1 if kept else 0)


async def test_what_was_decided_in_time_does_not_expire_afterwards(
    kept: bool, rule: Any, bench: Workbench, sql: psycopg.Connection
) -> None:
    """Else it counts twice, and what was approved is rejected."""
    rule.instead(
        approvals, "_EXPIRE", text(approvals._EXPIRE.text.replace("a.status = 'open'", "true"))
    )
    turn = bench.begin(bench.new_session())
    first, _ = paused(bench, turn, "one", "two")
    _approve(bench, first)
    sql.execute("UPDATE approvals SET expires_at = now() WHERE call_id = 'one'")

    approvals.expire(bench.database, 10)

    assert status_of(bench, first) == ("approved" if kept else "expired")
    assert bench.turns.claim_head(turn.session_id).outcome == ("waiting" if kept else "claimed")


async def test_nothing_expires_before_its_time(kept: bool, rule: Any, bench: Workbench) -> None:
    rule.without(approvals, "_EXPIRE", "AND a.expires_at <= now()")
    turn = bench.begin(bench.new_session())
    (approval,) = paused(bench, turn, "one")

    approvals.expire(bench.database, 10)

    assert status_of(bench, approval) == ("open" if kept else "expired")


async def test_a_pause_that_nobody_decides_on_is_claimed_by_nobody(
    kept: bool, rule: Any, bench: Workbench
) -> None:
    """Else a worker that is rung for what waits behind it runs it without a decision."""
    rule.without(
        turns,
        "CLAIM",
        "CASE t.status WHEN 'queued'",
        "t.status = 'waiting' OR CASE t.status WHEN 'queued'",
    )
    rule.without(turns, "CLAIM", "WHERE NOT held AND status <> 'waiting'", "WHERE NOT held")
    turn = bench.begin(bench.new_session())
    paused(bench, turn, "one")

    assert bench.turns.claim_head(turn.session_id).outcome == ("waiting" if kept else "claimed")


async def test_only_the_very_call_that_was_approved_is_made(
    kept: bool, rule: Any, new_bench: Callable[..., Workbench]
) -> None:
    """Else who approves what one agent would do has approved it for another."""
    for module in (approvals, carried_out):
        rule.instead(module, "digest_of", lambda *_: "any")

    @function_tool(needs_approval=True)
    def pay(title: str) -> str:
        """Pay."""
        paid.append(title)
        return "paid"

    def agent(name: str) -> Agent[Any]:
        inner = Agent[Any](name, tools=[pay], model="payer")
        return Agent("todo", tools=[inner.as_tool("ask_clerk", "Ask the clerk.")])

    paid: list[str] = []
    script = in_order(
        call("ask_clerk", "call_0", input="pay"),
        call("pay", "call_1", title="a chair"),
        say("Paid."),
        say("It is."),
    )
    before = new_bench(script, agent=agent("clerk"))
    message = request(before.new_session(), key="k")
    (approval,) = (await before.sender.send(message, seconds=60)).view.approvals
    await Decider(before.database).decide(approval.id, "approved", by="alice", may=())

    after = new_bench(script, agent=agent("another clerk"))
    await after.session_worker.run_next(message.session_id, seconds=60)

    assert paid == ([] if kept else ["a chair"])


def _approve(bench: Workbench, approval: Approval) -> Any:
    return approvals.decide(bench.database, approval, "approved", by="alice", anybody=False)


def _cancel(bench: Workbench, turn: RunningTurn) -> Any:
    return cancel.request_cancel(bench.database, turn.user_id, turn.session_id, turn.id)


def status_of(bench: Workbench, approval: Approval) -> str:
    return approvals.get(bench.database, approval.id, None).status
