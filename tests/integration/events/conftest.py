"""The event log in both stores, each in a place of its own, and hands that reach past it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import botocore.endpoint
import pytest
from moto.server import ThreadedMotoServer

from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import EventLog
from parley.events.sqlite import SqliteEventLog
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley_testing.account.dynamodb_wire import DynamoDbWire
from parley_testing.account.moto import dynamodb_in_process, memory_table
from parley_testing.stores.turn_keys import numbered
from parley_testing.streams.event_writing import dynamodb, opened

Place = tuple[str, int, int]
"""Conversation, the turn's number, and the first event of a chunk."""


class Stored(Protocol):
    """A log and the memory beside it."""

    @property
    def kind(self) -> str:
        """`sqlite` or `dynamodb`."""

    @property
    def where(self) -> str:
        """Where another process finds it; see `parley_testing.streams.event_writing.opened`."""

    @property
    def log(self) -> EventLog:
        """The log."""

    @property
    def memory(self) -> AgentSessionStore:
        """The memory."""

    def another(self) -> AbstractContextManager[EventLog]:
        """Open the same log as another process does."""

    def change(self, place: Place, **values: Any) -> None:
        """Change columns of a chunk behind the log's back."""

    def column(self, name: str) -> dict[Place, Any]:
        """Read a column of every chunk there is, expired ones too."""


@pytest.fixture(params=["sqlite", "dynamodb"])
def stored(request: pytest.FixtureRequest) -> Stored:
    """Each of the stores in turn: the shared suite's subject."""
    built: Stored = request.getfixturevalue(f"in_{request.param}")
    return built


@pytest.fixture
def log(stored: Stored) -> EventLog:
    return stored.log


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Iterator[_InSqlite]:
    stored = _InSqlite(tmp_path / "memory.db")
    with closing(stored.log), closing(stored.memory):
        yield stored


@pytest.fixture
def in_dynamodb(client: Any) -> Iterator[_InDynamoDb]:
    table = memory_table(client)
    yield _InDynamoDb(client, "", table)
    client.delete_table(TableName=table)


@pytest.fixture
def behind_wire(wire: DynamoDbWire, over_wire: Any) -> Iterator[_InDynamoDb]:
    """The log in DynamoDB, for who counts calls, breaks them, or makes them from elsewhere."""
    table = memory_table(over_wire)
    wire.sent.clear()
    yield _InDynamoDb(over_wire, wire.url, table)
    wire.restore()
    over_wire.delete_table(TableName=table)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with dynamodb_in_process() as client:
        yield client


@pytest.fixture(scope="module")
def wire() -> Iterator[DynamoDbWire]:
    """What goes between the client library and moto."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with DynamoDbWire(f"http://{host}:{port}") as wire:
        yield wire
    server.stop()


@pytest.fixture(scope="module")
def over_wire(wire: DynamoDbWire) -> Iterator[Any]:
    with closing(dynamodb(wire.url)) as client, pytest.MonkeyPatch.context() as patch:
        # The client library's own retries pause as well.
        patch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
        yield client


class _InSqlite:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.log = SqliteEventLog(path)
        self.memory = SqliteStore(path)

    def another(self) -> AbstractContextManager[EventLog]:
        return opened(self.kind, self.where)

    def change(self, place: Place, **values: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        with closing(sqlite3.connect(self.where)) as connection, connection:
            changed = connection.execute(
                f"UPDATE event_chunks SET {assignments}"
                " WHERE conversation = ? AND number = ? AND first = ?",
                (*values.values(), *place),
            )
            assert changed.rowcount == 1

    def column(self, name: str) -> dict[Place, Any]:
        with closing(sqlite3.connect(self.where)) as connection:
            rows = connection.execute(
                f"SELECT conversation, number, first, {name} FROM event_chunks"
            ).fetchall()
        return {(conversation, number, first): value for conversation, number, first, value in rows}


class _InDynamoDb:
    kind = "dynamodb"

    def __init__(self, client: Any, url: str, table: str) -> None:
        self.where = f"{url} {table}"
        self.log = DynamoDbEventLog(client, table)
        self.memory = DynamoDbStore(client, table)
        self._client = client
        self._table = table

    def another(self) -> AbstractContextManager[EventLog]:
        return opened(self.kind, self.where)

    def change(self, place: Place, **values: Any) -> None:
        conversation, number, first = place
        part = f"e#{number:010}#{numbered(number).id}#{first:010}"
        for name, value in values.items():
            self._client.update_item(
                TableName=self._table,
                Key={"conversation": {"S": conversation}, "part": {"S": part}},
                UpdateExpression="SET #n = :v",
                ConditionExpression="attribute_exists(#n)",
                ExpressionAttributeNames={"#n": name},
                ExpressionAttributeValues={
                    ":v": {"B": value} if isinstance(value, bytes) else {"N": str(value)}
                },
            )

    def column(self, name: str) -> dict[Place, Any]:
        found: dict[Place, Any] = {}
        for page in self._client.get_paginator("scan").paginate(TableName=self._table):
            for item in page["Items"]:
                kind, *rest = item["part"]["S"].split("#")
                if kind == "e":
                    ((type_, value),) = item[name].items()
                    place = (item["conversation"]["S"], int(rest[0]), int(rest[2]))
                    found[place] = int(value) if type_ == "N" else value
        return found
