"""Rules of turns that wait (turn-protocol, the states of a turn)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import text

from parley.errors import Fenced
from parley.repository import approvals
from parley.repository.approvals import Approval, Asked, Decided, pause
from parley.repository.tool_calls import Called, ToolCall
from parley.repository.turns import RunningTurn
from parley.turns.decide import Decider
from parley_testing.workbench import Workbench

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


def _approve(bench: Workbench, approval: Approval) -> Any:
    return approvals.decide(bench.database, approval, "approved", by="alice", anybody=False)
