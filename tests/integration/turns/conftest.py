"""Workbenches over a real database and both stores, and ways to let an attempt die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

import boto3
import psycopg
import pytest
from moto import mock_aws

from parley import loop, threads
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.turns import lease
from parley_testing.api.handlers import Api
from parley_testing.models.scripted import Script, in_order
from parley_testing.models.server import ModelServer
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench

TABLE = "memory"
_NEVER_ASKED = in_order()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls to a store that cannot serve be tried again without a pause."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "memory.db")
    yield store
    store.close()


@pytest.fixture
def dynamodb_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto's DynamoDB with an empty table."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client: Any = boto3.client("dynamodb")
        client.create_table(
            TableName=TABLE,
            KeySchema=[
                {"AttributeName": "conversation", "KeyType": "HASH"},
                {"AttributeName": "part", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "conversation", "AttributeType": "S"},
                {"AttributeName": "part", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        # DynamoDB's conditional writes are atomic; moto checks and writes in two steps.
        call, one_at_a_time = client._make_api_call, Lock()

        def alone(*arguments: Any) -> Any:
            with one_at_a_time:
                return call(*arguments)

        client._make_api_call = alone
        yield client
        client.close()


@pytest.fixture
def dynamodb_store(dynamodb_client: Any) -> DynamoDbStore:
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
