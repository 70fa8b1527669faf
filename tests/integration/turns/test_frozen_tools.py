"""A process stands still within a tool's transaction, and who takes over meets its locks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley import failpoints, retry
from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.threads import OwnThreads
from parley.timing import CRASH_SECONDS
from parley.turns import effects
from parley.turns.wakeup import retry_seconds
from parley_testing.models.scripted import Asked, Items, call, say
from parley_testing.stores.in_memory import Queue
from parley_testing.waiting import HANG_SECONDS, until
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]
NewDatabase = Callable[[float], Database]

KEY = "k"
USERS_ROWS = "inside the transaction of add_task"
"""Who stands still there has the user's tasks to himself, which `Effect.alone` counts."""
TURNS_ROW = "before the commit of add_task"
"""Who stands still there has locked the turn's row besides."""

HOW = pytest.mark.parametrize("how", ["send", "open", "worker"])


def answer(asked: Asked) -> Items:
    """Add a task, and say so."""
    if asked.input[-1].get("type") == "function_call_output":
        return say("Added.")
    return call("add_task", "c1", title="milk")


class Frozen:
    """A process whose first tool stands still at a point until it is let go on.

    Its lease is over by then: nobody can write to the turn's row while it has that.
    """

    def __init__(self, point: str, sql: psycopg.Connection) -> None:
        self._point = point
        self._sql = sql
        self._left = [USERS_ROWS, TURNS_ROW]
        self.stands = threading.Event()
        self.goes_on = threading.Event()

    def __call__(self, passed: str) -> None:
        if passed not in self._left[:1]:
            return  # or it has gone on
        if passed == USERS_ROWS:
            self._sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 second'")
        self._left.pop(0)
        if passed == self._point:
            self._left.clear()
            self.stands.set()
            assert self.goes_on.wait(HANG_SECONDS), "it stood still for too long"


@pytest.fixture
def new_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewDatabase]:
    """Makes ways to the database on which a statement may take so long, or an idle transaction."""
    # The two processes of a test are one for the system: neither waits for the other's tools.
    monkeypatch.setattr(effects, "_BODIES", OwnThreads("bodies", at_once=2))
    # Who stood still tries again, however long that was, instead of answering that he could not.
    monkeypatch.setattr(retry, "PATIENCE_SECONDS", HANG_SECONDS)
    made: list[Database] = []

    def make(seconds: float) -> Database:
        made.append(Database(lambda: database_url, statement_timeout=seconds))
        return made[-1]

    yield make
    for each in made:
        each.close()


@asynccontextmanager
async def frozen(bench: Workbench, point: str, sql: psycopg.Connection) -> AsyncIterator[UUID]:
    """Have a message sent whose process stands still at a point, and at last goes on.

    It tells its caller what has become of the turn, which others have carried on by then.
    """
    process = Frozen(point, sql)
    session_id = bench.new_session()
    with failpoints.observed(process):
        zombie = asyncio.create_task(bench.send(session_id, key=KEY))
        try:
            await until(process.stands.is_set)
            yield session_id
        finally:
            process.goes_on.set()
            await asyncio.wait([zombie])
    reply = zombie.result().view.reply
    assert reply is not None
    assert reply.content == "Added."


async def take_over(bench: Workbench, how: str, session_id: UUID) -> None:
    """Carry a session's turn on, as one does who asks again or follows it, or as a worker."""
    match how:
        case "send":
            await bench.send(session_id, key=KEY)
        case "open":
            opened = await bench.sender.open(request(session_id, key=KEY), seconds=HANG_SECONDS)
            assert opened.work is not None
            await opened.work
        case "worker":
            assert await bench.session_worker.run_next(session_id, seconds=HANG_SECONDS)


def end_frozen(sql: psycopg.Connection) -> None:
    """End the transaction that was left idle, as the server does when it has been so for long."""
    ended = sql.execute(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    assert ended.fetchall() == [(True,)]


def turn(sql: psycopg.Connection) -> tuple[Any, ...]:
    """The turn's status, attempt and crashes, and whether a lease is over."""
    (row,) = sql.execute(
        "SELECT status, attempt, crashes, lease_expires_at < now() FROM turns"
    ).fetchall()
    return row


def tasks(sql: psycopg.Connection) -> list[str]:
    return [title for (title,) in sql.execute("SELECT title FROM tasks").fetchall()]


@HOW
async def test_who_waits_for_a_tool_longer_than_a_statement_may_take_is_told(
    new_bench: NewBench,
    new_database: NewDatabase,
    each_store: AgentSessionStore,
    sql: psycopg.Connection,
    how: str,
) -> None:
    """His attempt ends, a worker is woken, and when the lock is free the turn goes on."""
    queue = Queue()
    process = new_bench(answer, database=new_database(0), store=each_store)
    hurried = new_bench(answer, database=new_database(1), store=each_store, wake_queue=queue)
    patient = new_bench(answer, database=new_database(HANG_SECONDS), store=each_store)
    async with frozen(process, USERS_ROWS, sql) as session_id:
        with pytest.raises(StoreUnavailable, match="postgres: 57014"):
            await take_over(hurried, how, session_id)

        assert turn(sql) == ("running", 2, 1, True)
        assert tasks(sql) == []
        # In case that he dies, and because he could not go on the second time.
        assert queue.delays == [CRASH_SECONDS, retry_seconds(2)]
        end_frozen(sql)
        await take_over(patient, how, session_id)
        # Whose tool's statement takes too long has crashed, as has he whose lease ran out.
        assert turn(sql) == ("completed", 3, 2, None)

    assert tasks(sql) == ["milk"]


@HOW
async def test_who_waits_so_long_for_the_turn_itself_leaves_it_as_it_was(
    new_bench: NewBench,
    new_database: NewDatabase,
    each_store: AgentSessionStore,
    sql: psycopg.Connection,
    how: str,
) -> None:
    process = new_bench(answer, database=new_database(0), store=each_store)
    hurried = new_bench(answer, database=new_database(1), store=each_store)
    patient = new_bench(answer, database=new_database(HANG_SECONDS), store=each_store)
    async with frozen(process, TURNS_ROW, sql) as session_id:
        before = turn(sql)
        with pytest.raises(StoreUnavailable, match="postgres: 57014"):
            await take_over(hurried, how, session_id)

        assert turn(sql) == before == ("running", 1, 0, True)
        end_frozen(sql)
        await take_over(patient, how, session_id)
        assert turn(sql) == ("completed", 2, 1, None)

    assert tasks(sql) == ["milk"]


@pytest.mark.parametrize("point", [USERS_ROWS, TURNS_ROW])
async def test_the_server_ends_who_stands_still_and_who_waits_goes_on(
    new_bench: NewBench, new_database: NewDatabase, sql: psycopg.Connection, point: str
) -> None:
    process = new_bench(answer, database=new_database(1))
    patient = new_bench(answer, database=new_database(HANG_SECONDS))
    async with frozen(process, point, sql) as session_id:
        await take_over(patient, "send", session_id)

        assert turn(sql) == ("completed", 2, 1, None)

    assert tasks(sql) == ["milk"]
