"""Workbenches over a real database and both stores, and ways to let an attempt die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from openai import DEFAULT_CONNECTION_LIMITS

from parley import loop, threads
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.turns import lease
from parley_testing.account.moto import dynamodb_in_process, memory_table
from parley_testing.api.handlers import Api
from parley_testing.models.scripted import Script, in_order
from parley_testing.models.server import ModelServer
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "memory"
_NEVER_ASKED = in_order()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let the tests of a file take turns in the stores, APIs and modes that each could be run in.

    What those do by themselves is tried elsewhere; what it takes to carry out a turn is the same.
    """
    if "dialects" not in item.path.parts:
        item.add_marker("in_turns")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls to a store that cannot serve be tried again without a pause."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "memory.db")
    yield store
    store.close()


@pytest.fixture(scope="module")
def moto_client() -> Iterator[DynamoDBClient]:
    with dynamodb_in_process() as client:
        # DynamoDB's conditional writes are atomic; moto checks and writes in two steps.
        unsafe: Any = client
        call, one_at_a_time = unsafe._make_api_call, Lock()

        def alone(*arguments: Any) -> Any:
            with one_at_a_time:
                return call(*arguments)

        unsafe._make_api_call = alone
        yield client


@pytest.fixture
def dynamodb_client(moto_client: DynamoDBClient) -> Iterator[DynamoDBClient]:
    """A client of moto's DynamoDB with an empty table."""
    memory_table(moto_client, TABLE)
    yield moto_client
    with suppress(moto_client.exceptions.ResourceNotFoundException):
        moto_client.delete_table(TableName=TABLE)


@pytest.fixture
def dynamodb_store(dynamodb_client: DynamoDBClient) -> DynamoDbStore:
    return DynamoDbStore(dynamodb_client, TABLE)


@pytest.fixture
def store(sqlite_store: SqliteStore) -> AgentSessionStore:
    """Where memory lives; see `each_store` for tests that ask both."""
    return sqlite_store


@pytest.fixture(params=["sqlite", "dynamodb"])
def each_store(request: pytest.FixtureRequest) -> AgentSessionStore:
    """Each of the stores in turn."""
    built: AgentSessionStore = request.getfixturevalue(f"{request.param}_store")
    return built


@pytest.fixture
def new_bench(database: Database, store: AgentSessionStore) -> Callable[..., Workbench]:
    """Makes workbenches: each is a process of its own as far as turns can tell."""
    own_database, own_store = database, store

    def make(
        script: Script = _NEVER_ASKED,
        *,
        store: AgentSessionStore | None = None,
        database: Database | None = None,
        **fields: Any,
    ) -> Workbench:
        return Workbench(database or own_database, store or own_store, script, **fields)

    return make


@pytest.fixture
def bench(new_bench: Callable[..., Workbench]) -> Workbench:
    """A workbench whose model is never asked."""
    return new_bench()


@pytest.fixture
def expire(sql: psycopg.Connection) -> Callable[[UUID], None]:
    """Lets a turn's lease run out, as happens when its process dies."""

    def expire(turn_id: UUID) -> None:
        changed = sql.execute(
            "UPDATE turns SET lease_expires_at = now() - interval '1 second' WHERE id = %s",
            (turn_id,),
        )
        assert changed.rowcount == 1

    return expire


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model's HTTP server."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients of models keep their connections however long nothing is asked."""
    monkeypatch.setattr(DEFAULT_CONNECTION_LIMITS, "keepalive_expiry", HANG_SECONDS)


@pytest.fixture
def model_api(model: ModelServer, environment: pytest.MonkeyPatch, api: Api) -> Iterator[Api]:
    """The deployment on a real model: over HTTP, at the model's server."""
    environment.setenv("OPENAI_API_KEY", "test")
    environment.setenv("OPENAI_BASE_URL", model.base_url)
    environment.setenv("OPENAI_MODEL", "scripted")
    yield api
    client = (
        api.function("messages").parts.sender.executor.runner.provider_of("todo")._provider._client
    )
    loop.run(client.close())


@pytest.fixture
def wire(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresWire]:
    """What goes between a test's database and its server.

    It is counted: however slow the machine is, no turn takes so long that its lease is renewed.
    """
    monkeypatch.setattr(lease, "RENEW_SECONDS", HANG_SECONDS)
    with PostgresWire(database_url) as wire:
        yield wire


@pytest.fixture
def wired(wire: PostgresWire) -> Iterator[Database]:
    """The way to the database, over the wire."""
    database = Database(lambda: wire.url, statement_timeout=10)
    yield database
    database.close()
