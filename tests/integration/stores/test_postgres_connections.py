"""Connections to Postgres: how long they are waited for, and what is said again over them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from parley import retry
from parley.errors import StoreUnavailable, TurnFailed
from parley.memory.sqlite import SqliteStore
from parley.repository import connection
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.threads import in_thread_with_retry
from parley.timing import PATIENCE_SECONDS
from parley_testing.models.scripted import call, in_order
from parley_testing.postgres.databases import without_idle_limit
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench

BREAKS = ("drop", "lose_answer")


@pytest.fixture
def wired(wire: PostgresWire) -> Iterator[Database]:
    database = Database(lambda: wire.url, statement_timeout=10, pool_size=1)
    yield database
    database.close()


@pytest.fixture
def bench(wired: Database, tmp_path: Any) -> Iterator[Workbench]:
    store = SqliteStore(tmp_path / "memory.db")
    yield Workbench(wired, store, in_order(call("add_task", title="milk"), ValueError("no")))
    store.close()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long it was waited between tries, without the waiting."""
    pauses: list[float] = []
    monkeypatch.setattr(retry, "PAUSES", (0.0, 0.1, 0.5))
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_tries_come_at_growing_intervals(slept: list[float]) -> None:
    nowhere = Database(lambda: "postgresql://parley@127.0.0.1:1/parley", statement_timeout=10)

    with pytest.raises(StoreUnavailable):
        nowhere.run(OfUser("alice"), text("SELECT 1"))

    for waited, pause in zip(slept, retry.PAUSES, strict=True):
        assert pause / 2 <= waited <= pause
    nowhere.close()


def test_what_ran_into_a_time_out_is_not_tried_again(
    slept: list[float], monkeypatch: pytest.MonkeyPatch, wire: PostgresWire
) -> None:
    monkeypatch.setattr(retry, "PATIENCE_SECONDS", 0.05)
    # Postgres ends it; this process may be as late as it likes to hear of that.
    monkeypatch.setattr(connection, "_ANSWER_SECONDS", HANG_SECONDS)
    hurried = Database(lambda: without_idle_limit(wire.url), statement_timeout=0.05)

    with pytest.raises(StoreUnavailable) as unavailable:
        hurried.run(OfUser("alice"), text("SELECT pg_sleep(9)"))

    assert unavailable.value.reason == "57014"
    assert (wire.statements.count("SELECT pg_sleep(9)"), slept) == (1, [])
    hurried.close()


async def test_postgres_is_waited_for_once_not_at_each_floor(slept: list[float]) -> None:
    tried: list[int] = []

    def down() -> None:
        tried.append(1)
        raise StoreUnavailable("postgres", "no connection")

    with pytest.raises(StoreUnavailable):
        await in_thread_with_retry(down)

    assert tried == [1]


def test_a_free_connection_is_not_waited_for_for_ever(wired: Database) -> None:
    wired._users.pool._timeout = 0.01  # type: ignore[attr-defined]
    with wired.transaction(OfUser("alice")), pytest.raises(StoreUnavailable) as unavailable:
        wired.run(OfUser("alice"), text("SELECT 1"))

    assert unavailable.value.reason == "no connection was free"
    assert wired.run(OfUser("alice"), text("SELECT 1")) == [(1,)]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such option")
def test_a_connection_that_was_dropped_without_a_word_is_found_out_soon(wired: Database) -> None:
    with wired.transaction(OfUser("alice")) as connection:
        driver: Any = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(driver.pgconn.socket)) as wire:
            unheard = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert unheard < PATIENCE_SECONDS * 1000


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("kept", ["renew", "release"])
def test_a_lease_is_kept_or_let_go_of_all_the_same(
    bench: Workbench, wire: PostgresWire, sql: psycopg.Connection, broken: str, kept: str
) -> None:
    turn = bench.begin(bench.new_session())
    getattr(wire, broken)("^UPDATE turns SET lease_expires_at")

    assert getattr(bench.turns, kept)(turn)

    (expired,) = sql.execute("SELECT lease_expires_at < now() FROM turns").fetchone() or ()
    assert expired == (kept == "release")


@pytest.mark.parametrize("broken", BREAKS)
async def test_a_turn_fails_once_and_says_why(
    bench: Workbench, wire: PostgresWire, sql: psycopg.Connection, broken: str
) -> None:
    session_id = bench.new_session()
    getattr(wire, broken)("error_detail =")

    with pytest.raises(TurnFailed) as failed:
        await bench.send(session_id, key="k")

    assert failed.value.code == "model_failed"
    turns = sql.execute("SELECT number, status, attempt, crashes FROM turns").fetchall()
    assert turns == [(1, "failed", 1, 0)]
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]
