"""A store that cannot serve is told of before a stream begins, as by every other route."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from parley.errors import StoreUnavailable
from parley.events import reader, writer
from parley.events.dynamodb import DynamoDbEventLog
from parley.events.sqlite import SqliteEventLog
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.turns.wakeup import Waker
from parley_testing.models.scripted import Script, Streamed, in_order, say
from parley_testing.models.steps import Gate
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.streams.streaming import CountedLog, Reading, Streams, text_of
from parley_testing.waiting import HANG_SECONDS, until
from parley_testing.workbench import Workbench

TABLE = "memory"
KEY = {"idempotency-key": "k"}


@dataclass
class Stores:
    """Where memory and event logs are, and how the place is made to fail.

    Attributes:
        refusing: Lets nothing be written, or with `reads` nothing be read either.
    """

    memory: AgentSessionStore
    log: CountedLog
    refusing: Callable[..., Any]


@pytest.fixture
def sqlite_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """A SQLite file that another process may be in the middle of writing to."""
    path = tmp_path / "locked.db"
    memory = SqliteStore(path, wait_seconds=HANG_SECONDS)
    log = SqliteEventLog(path, wait_seconds=HANG_SECONDS)
    counted = CountedLog(log)

    def wait(seconds: float) -> None:
        for file in (memory._file, log._file):
            with file.reading() as connection:
                connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    @contextmanager
    def refusing(*, reads: bool = False) -> Iterator[None]:
        if reads:  # which a lock does not hinder
            fault = StoreUnavailable("memory", "disk I/O error")
            with monkeypatch.context() as patch:
                patch.setattr(counted, "read", _raising(fault))
                yield
            return
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        wait(0.05)  # only now: of each other the two threads may have to wait for longer
        yield
        other.close()
        wait(HANG_SECONDS)

    yield Stores(memory, counted, refusing)
    memory.close()
    log.close()


@pytest.fixture
def dynamodb_stores(dynamodb_client: Any, code: str) -> Stores:
    """A table that throttles, or that the function may not write to."""

    @contextmanager
    def refusing(*, reads: bool = False) -> Iterator[None]:
        event = f"before-call.dynamodb.{'Query' if reads else 'PutItem'}"

        def refuse(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
            said = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}
            return AWSResponse("", 400, HTTPHeaders(), None), said

        dynamodb_client.meta.events.register(event, refuse)
        yield
        dynamodb_client.meta.events.unregister(event, refuse)

    log = CountedLog(DynamoDbEventLog(dynamodb_client, TABLE))
    return Stores(DynamoDbStore(dynamodb_client, TABLE), log, refusing)


@pytest.fixture(params=["locked", "ThrottlingException", "AccessDeniedException"])
def code(request: pytest.FixtureRequest) -> str:
    """Why the store does not serve."""
    return str(request.param)


@pytest.fixture
def stores(code: str, request: pytest.FixtureRequest) -> Stores:
    """Each of the stores, with each reason."""
    name = "sqlite" if code == "locked" else "dynamodb"
    stores: Stores = request.getfixturevalue(f"{name}_stores")
    return stores


class Woken:
    """A wake queue that keeps for which sessions workers were woken."""

    def __init__(self) -> None:
        self.sessions: list[UUID] = []

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        self.sessions.append(session_id)


NewStreams = Callable[..., Awaitable[Streams]]


@pytest.fixture
async def new_streams(database: Database) -> AsyncIterator[NewStreams]:
    """Serves the app over some stores; each is a process of its own as far as it goes."""
    async with AsyncExitStack() as stack:

        async def make(stores: Stores, script: Script, database: Database = database) -> Streams:
            queue = Woken()
            bench = Workbench(database, stores.memory, script, events=stores.log, wake_queue=queue)
            return await stack.enter_async_context(Streams(bench, stores.log))

        yield make


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def woken(waker: Waker) -> list[UUID]:
    assert isinstance(waker.wake_queue, Woken)
    return waker.wake_queue.sessions


async def unavailable(reading: Reading) -> None:
    """See that nothing was told but that a store is away."""
    document = await reading.json()
    assert (reading.status, document["code"]) == (503, "store_unavailable"), document
    assert reading.response.headers["content-type"] == "application/problem+json"
    assert int(reading.response.headers["retry-after"]) > 0
    assert document["request_id"]


async def test_a_turn_that_the_store_cannot_take_is_refused_and_not_lost(
    new_streams: NewStreams, stores: Stores, gate: Gate, sql: psycopg.Connection
) -> None:
    streams = await new_streams(stores, in_order(say("before"), Streamed("never told", gate)))
    session_id = streams.bench.new_session()
    await streams.bench.send(session_id, "before")

    with stores.refusing():
        async with streams.send(session_id, headers=KEY) as reading:
            await unavailable(reading)

    query = "SELECT status, lease_expires_at = '-infinity' FROM turns WHERE number = 2"
    assert sql.execute(query).fetchone() == ("running", True)
    assert session_id in woken(streams.bench.waker)
    streams.bench.model.script = in_order(Streamed("He", "llo"))
    async with streams.send(session_id, headers=KEY) as reading:
        told = await reading.rest()
    assert (reading.status, text_of(told)) == (200, "Hello")
    assert sql.execute("SELECT count(*), max(number) FROM turns").fetchone() == (2, 2)


@pytest.fixture
def who_runs_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt that runs reads nothing of its log, however long others are refused."""
    monkeypatch.setattr(writer, "LOOK_SECONDS", 3_600.0)


@pytest.mark.usefixtures("who_runs_does_not_look")
async def test_a_turn_that_runs_elsewhere_is_joined_only_if_its_log_can_be_read(
    new_streams: NewStreams, stores: Stores, gate: Gate
) -> None:
    running = await new_streams(stores, in_order(Streamed("He", gate, "llo")))
    other = await new_streams(stores, in_order())
    session_id = running.bench.new_session()

    async with running.send(session_id, headers=KEY) as first:
        await first.until("message.delta")
        (turn,) = running.turns(session_id)
        with stores.refusing(reads=True):
            async with other.send(session_id, headers=KEY) as joining:
                await unavailable(joining)
            async with other.follow(session_id, turn.id) as following:
                await unavailable(following)
        gate.open()
        await first.rest()
    async with other.send(session_id, headers=KEY) as joining:
        assert text_of(await joining.rest()) == "Hello"


async def test_a_turn_that_waits_is_followed_from_before_it_begins(
    new_streams: NewStreams, stores: Stores, gate: Gate
) -> None:
    streams = await new_streams(stores, in_order(Streamed("He", gate, "llo"), say("second")))
    session_id = streams.bench.new_session()
    body = {"text": "again", "on_conflict": "enqueue"}
    path = f"/sessions/{session_id}/messages/stream"

    async with streams.send(session_id) as first:
        await first.until("message.delta")
        async with streams.ask("POST", path, body) as second:
            assert second.status == 200  # though there is nothing to tell of it yet
            gate.open()
            await first.rest()
            assert await streams.bench.session_worker.run_next(session_id, seconds=60)
            assert text_of(await second.rest()) == "second"


@pytest.mark.usefixtures("who_runs_does_not_look")
async def test_a_turn_whose_waiting_cannot_be_looked_at_is_accepted_and_refused_a_stream(
    new_streams: NewStreams, stores: Stores, gate: Gate
) -> None:
    streams = await new_streams(stores, in_order(Streamed("He", gate, "llo")))
    session_id = streams.bench.new_session()
    body = {"text": "again", "on_conflict": "enqueue"}

    async with streams.send(session_id) as first:
        await first.until("message.delta")
        with stores.refusing(reads=True):
            path = f"/sessions/{session_id}/messages/stream"
            async with streams.ask("POST", path, body, headers=KEY) as second:
                await unavailable(second)
        gate.open()
        await first.rest()

    # Who follows looks into the log now and then. Refused, its stream ends, and the turn goes on.
    def statuses() -> list[str]:
        return [turn.status for turn in streams.turns(session_id)]

    await until(lambda: statuses() != ["queued", "running"])
    assert statuses() == ["queued", "completed"]


async def test_without_postgres_nothing_is_begun(
    new_streams: NewStreams,
    sqlite_stores: Stores,
    wire: PostgresWire,
    wired: Database,
    sql: psycopg.Connection,
) -> None:
    streams = await new_streams(sqlite_stores, in_order(Streamed("Hello")), wired)
    session_id = streams.bench.new_session()

    wire.refuse()
    wire.cut()
    async with streams.send(session_id, headers=KEY) as reading:
        await unavailable(reading)

    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)


async def test_a_stream_takes_no_round_trip_more_than_a_look_at_its_turn(
    new_streams: NewStreams,
    sqlite_stores: Stores,
    wire: PostgresWire,
    wired: Database,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow this machine is, nobody looks because nothing comes, nor because all is there.
    monkeypatch.setattr(reader, "QUIET_SECONDS", 3_600.0)
    script = in_order(Streamed("He"), Streamed("Hel", gate, "lo"))
    streams = await new_streams(sqlite_stores, script, wired)
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        await reading.rest()

    wire.reset()
    async with streams.send(session_id) as reading:
        await reading.until("message.delta")
        gate.open()
        await reading.rest()

    # Begin, the look, complete.
    assert wire.round_trips == 3, wire.statements
