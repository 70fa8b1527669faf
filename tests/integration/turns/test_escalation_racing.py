"""A tool that escalates its session, beside everything else that locks a session or a turn."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

import psycopg
import pytest

from parley.errors import Fenced, NotFound
from parley.ids import new_id
from parley.repository import escalation
from parley.repository.cancel import request_cancel
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.sessions import SessionRepository
from parley.repository.tool_calls import ToolCall, record_in
from parley.repository.turns import Ending, RunningTurn, TurnRepository, Usage
from parley_testing.run.at_length import times
from parley_testing.scenarios.at_once import connected
from parley_testing.stores.talk import begin, request
from parley_testing.waiting import HANG_SECONDS

ROUNDS = times(enough=20, full=60)
CALL = ToolCall("call_1", "escalate", "{}", "done", effect=True)
FAILED = Ending("failed", "model_failed", "No.", remembered=True)

Rival = Callable[[Database, RunningTurn], object]


def turns(database: Database) -> TurnRepository:
    return TurnRepository(database, window=100)


def send(database: Database, turn: RunningTurn, **how: bool) -> object:
    return turns(database).begin(request(turn.user_id, str(turn.session_id)), **how)


def delete(database: Database, turn: RunningTurn) -> None:
    SessionRepository(database).delete(turn.user_id, turn.session_id)


def reopen(database: Database, turn: RunningTurn) -> object:
    changes = {"status": "active"}
    sessions = SessionRepository(database)
    return sessions.change(turn.user_id, turn.session_id, changes, by_administrator=True)


RIVALS: dict[str, Rival] = {
    "complete": lambda database, turn: turns(database).complete(turn, "hi", Usage(), None),
    "fail": lambda database, turn: turns(database).stop(turn, FAILED, Usage(), None),
    "renew": lambda database, turn: turns(database).renew(turn),
    "release": lambda database, turn: turns(database).release(turn),
    "begin": send,
    "enqueue": lambda database, turn: send(database, turn, enqueue=True),
    "cancel": lambda database, turn: request_cancel(
        database, turn.user_id, turn.session_id, turn.id
    ),
    "delete": delete,
    "reopen": reopen,
    "clear": lambda database, turn: SessionRepository(database).forget("alice", turn.session_id),
}


def run(database: Database, turn: RunningTurn, between: Callable[[], object]) -> None:
    """Do what the tool's transaction does, and something before the fence."""
    with database.transaction(OfUser(turn.user_id)) as connection:
        escalation.escalate(connection, turn.session_id, "the user is upset")
        between()
        record_in(connection, turn, CALL)


def running(database: Database) -> RunningTurn:
    """Begin a turn in a session of its own."""
    session, _ = SessionRepository(database).create(
        new_id(), "alice", agent="support", name=None, platform="api", metadata={},
        idempotency_key=None, fingerprint=b"",
    )  # fmt: skip
    return begin(turns(database), request("alice", str(session.id)))


def expire(sql: psycopg.Connection, turn: RunningTurn) -> None:
    sql.execute("UPDATE turns SET lease_expires_at = '-infinity' WHERE id = %s", [turn.id])


@pytest.mark.parametrize("expired", [False, True], ids=["held", "lease over"])
@pytest.mark.parametrize("name", RIVALS)
def test_whoever_comes_between_the_effect_and_the_fence_waits_and_neither_deadlocks(
    database_url: str, sql: psycopg.Connection, name: str, expired: bool
) -> None:
    with connected(database_url, 2) as (mine, other), ThreadPoolExecutor(1) as thread:
        turn = running(mine)
        if expired:
            expire(sql, turn)
        rival: list[Future[object]] = []

        def let_rival_come() -> None:
            rival.append(thread.submit(RIVALS[name], other, turn))
            blocked = 0
            while not blocked and not rival[0].done():
                blocked = sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount

        taken_over = expired and name in ("begin", "enqueue")
        with pytest.raises(Fenced) if taken_over else nullcontext():
            run(mine, turn, let_rival_come)
        rival[0].result(timeout=HANG_SECONDS)

    left: list[tuple[str, str | None, int]] = [("escalated", "the user is upset", 1)]
    if taken_over:
        left = [("active", None, 0)]
    elif name == "reopen":
        left = [("active", None, 1)]
    elif name == "delete":
        left = []
    assert (
        left
        == sql.execute(
            "SELECT s.status, s.status_reason, (SELECT count(*) FROM tool_calls) FROM sessions s"
        ).fetchall()
    )


def test_all_of_them_at_once_never_deadlock(database_url: str, sql: psycopg.Connection) -> None:
    names = ["tool", *RIVALS]
    shuffled = random.Random(5)
    with connected(database_url, len(names)) as databases, ThreadPoolExecutor(len(names)) as pool:
        for number in range(ROUNDS):
            turn = running(databases[0])
            if number % 2:
                expire(sql, turn)
            start = threading.Barrier(len(names))

            def work(
                name: str,
                database: Database,
                turn: RunningTurn = turn,
                start: threading.Barrier = start,
            ) -> None:
                start.wait(HANG_SECONDS)
                try:
                    if name == "tool":
                        run(database, turn, lambda: None)
                    else:
                        RIVALS[name](database, turn)
                except (Fenced, NotFound):
                    pass  # the turn was over, or its session deleted, first

            shuffled.shuffle(names)
            list(pool.map(work, names, databases))  # a deadlock is raised as StoreUnavailable

    for table in ("sessions", "turns", "tool_calls"):
        assert sql.execute(f"SELECT FROM {table}").rowcount == 0
