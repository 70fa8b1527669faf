"""Rule: each write to Postgres names its attempt (turn-protocol, sections 2 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import TextClause, text

from parley.errors import Fenced
from parley.repository import tool_calls, turns
from parley.repository.tool_calls import Called, ToolCall
from parley.repository.turns import Ending, RunningTurn, Usage
from parley.turns.attempt import Attempt
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]
_ATTEMPT = ("AND t.attempt = :attempt", "AND attempt = :attempt")


def without_fence(statement: TextClause) -> TextClause:
    """Take the attempt out of a statement's conditions."""
    fenced = statement.text
    for condition in _ATTEMPT:
        fenced = fenced.replace(condition, "")
    assert fenced != statement.text
    return text(fenced)


@pytest.fixture
def zombie(bench: Workbench, expire: Callable[[UUID], None]) -> RunningTurn:
    """An attempt whose turn another has taken over."""
    turn = bench.begin(bench.new_session(), key="k")
    expire(turn.id)
    assert bench.turns.begin(request(turn.session_id, key="k")).outcome == "resume"
    return turn


def unless(kept: bool, patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    if not kept:
        patch.setattr(module, name, without_fence(getattr(module, name)))


def test_completing(
    kept: bool, bench: Workbench, zombie: RunningTurn, monkeypatch: Any, sql: psycopg.Connection
) -> None:
    unless(kept, monkeypatch, turns, "COMPLETE")

    bench.turns.complete(zombie, "from the dead", Usage(), None)

    replies = sql.execute("SELECT content FROM messages WHERE role = 'assistant'").fetchall()
    assert replies == ([] if kept else [("from the dead",)])


def test_failing(
    kept: bool, bench: Workbench, zombie: RunningTurn, monkeypatch: Any, sql: psycopg.Connection
) -> None:
    unless(kept, monkeypatch, turns, "STOP")

    bench.turns.stop(zombie, Ending("failed", "x", "x", remembered=False), Usage(), None)

    status = sql.execute("SELECT status FROM turns").fetchone()
    assert status == (("running",) if kept else ("failed",))


def test_releasing(
    kept: bool, bench: Workbench, zombie: RunningTurn, monkeypatch: Any, sql: psycopg.Connection
) -> None:
    unless(kept, monkeypatch, turns, "RELEASE")

    bench.turns.release(zombie)

    # Without it a zombie lets a third attempt in beside the second.
    free = sql.execute("SELECT lease_expires_at < now() FROM turns").fetchone()
    assert free == (not kept,)


def test_renewing(kept: bool, bench: Workbench, zombie: RunningTurn, monkeypatch: Any) -> None:
    unless(kept, monkeypatch, turns, "RENEW")

    # Without it a zombie never learns that it is one.
    assert (bench.turns.renew(zombie) is None) is kept


def test_recording_an_output(
    kept: bool, bench: Workbench, zombie: RunningTurn, monkeypatch: Any
) -> None:
    unless(kept, monkeypatch, tool_calls, "_RECORD")
    call = ToolCall("call_1", "look", "{}", "from the dead", effect=False)

    try:
        bench.tool_calls.record(zombie, call)
    except Fenced:
        assert kept

    assert (bench.tool_calls.of_turn(zombie) == {}) is kept


async def test_an_effect(
    kept: bool, bench: Workbench, zombie: RunningTurn, monkeypatch: Any, sql: psycopg.Connection
) -> None:
    unless(kept, monkeypatch, tool_calls, "_RECORD_FIRST")
    attempt = Attempt(zombie, bench.database, bench.turns, bench.tool_calls, bench.store)

    def add(effect: Any) -> str:
        effect.db.execute(
            text("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), 'alice', 'x')")
        )
        return "added"

    try:
        await attempt.effects.in_transaction(Called("call_1", "add", "{}"), add, changes=True)
    except Fenced:
        assert kept

    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0 if kept else 1,)


def test_a_lost_answer_to_completing_is_success(
    kept: bool, bench: Workbench, monkeypatch: Any
) -> None:
    """Rule: a turn already completed at my attempt is success (section 2)."""
    if not kept:
        monkeypatch.setattr(turns.TurnRepository, "_completed_before", lambda *_: None)
    turn = bench.begin(bench.new_session())
    bench.turns.complete(turn, "hello", Usage(), None)  # and its answer is lost

    again = bench.turns.complete(turn, "hello", Usage(), None)

    assert (again is not None) is kept
