"""Both stores, each in a place of its own, and hands that reach past them."""

from __future__ import annotations

import json
import random
import sqlite3
import string
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.account.moto import dynamodb_in_process, memory_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "memory"


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request: pytest.FixtureRequest) -> AgentSessionStore:
    """Each of the stores in turn: the shared suite's subject."""
    built: AgentSessionStore = request.getfixturevalue(f"{request.param}_store")
    return built


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def sqlite_store(sqlite_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(sqlite_path)
    yield store
    store.close()


@pytest.fixture
def dynamodb_store(client: DynamoDBClient) -> DynamoDbStore:
    return DynamoDbStore(client, TABLE)


@pytest.fixture(scope="module")
def moto_client() -> Iterator[DynamoDBClient]:
    with dynamodb_in_process(Config(retries={"max_attempts": 2, "mode": "legacy"})) as client:
        # Or moto would answer beside the wire, not behind it.
        client.meta.events.unregister("before-send", cast("Any", botocore_stubber))
        yield client


@pytest.fixture
def client(moto_client: DynamoDBClient, wire: Wire) -> Iterator[DynamoDBClient]:
    """A client whose calls go over the wire to an empty table."""
    moto_client.meta.events.register("before-send.dynamodb", wire.send)
    memory_table(moto_client, TABLE)
    wire.sent.clear()
    yield moto_client
    wire.restore()
    moto_client.delete_table(TableName=TABLE)
    moto_client.meta.events.unregister("before-send.dynamodb", wire.send)


@pytest.fixture
def wire() -> Wire:
    return Wire()


class Wire:
    """What goes between the client library and DynamoDB: counts it, and breaks it on demand.

    It also has moto serve one request at a time. DynamoDB's conditional writes are atomic, while
    moto checks and writes in two steps that threads would run through each other.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.bodies: list[bytes] = []
        self._lock = threading.RLock()
        self._breaks: dict[str, Callable[[Any], Any]] = {}

    def send(self, request: Any, event_name: str, **rest: Any) -> Any:
        """Carry one request; botocore calls this before it would send it."""
        operation = event_name.rpartition(".")[2]
        self.sent.append(operation)
        self.bodies.append(request.body)
        with self._lock:
            return self._breaks.get(operation, lambda it: self._serve(operation, it))(request)

    def lose_answer(self, operation: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Have the next request of this kind served and its answer lost; then do something."""

        def serve_and_lose(request: Any) -> Any:
            del self._breaks[operation]
            self._serve(operation, request)
            meanwhile()
            raise ConnectionClosedError(endpoint_url=request.url)

        self._breaks[operation] = serve_and_lose

    def refuse(self, operation: str, code: str, status: int = 400) -> None:
        """Have every request of this kind refused from now on."""
        body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}
        self._breaks[operation] = lambda request: _answer(request, status, body)

    def disconnect(self) -> None:
        """Have nothing reach DynamoDB any more."""

        def closed(request: Any) -> Any:
            raise ConnectionClosedError(endpoint_url=request.url)

        for operation in ("Query", "BatchGetItem", "BatchWriteItem", "PutItem", "UpdateItem"):
            self._breaks[operation] = closed

    def serve_nothing(self, operation: str, key: str) -> None:
        """Have every batch from now on given back whole under `key`."""
        self._breaks[operation] = lambda request: _answer(
            request, 200, {"Responses": {}, key: json.loads(request.body)["RequestItems"]}
        )

    def restore(self) -> None:
        """Let everything through again."""
        self._breaks.clear()

    def leave_undone(self, operation: str, key: str) -> None:
        """Have the next batch served but for its first entry, the rest given back under `key`."""

        def serve_one(request: Any) -> Any:
            del self._breaks[operation]
            body = json.loads(request.body)
            (table, asked), *_ = body["RequestItems"].items()
            kept = {**asked, "Keys": asked["Keys"][:1]} if "Keys" in asked else asked[:1]
            left = {**asked, "Keys": asked["Keys"][1:]} if "Keys" in asked else asked[1:]
            request.body = json.dumps({"RequestItems": {table: kept}}).encode()
            answer = self._serve(operation, request)
            return _answer(request, 200, json.loads(answer.content) | {key: {table: left}})

        self._breaks[operation] = serve_one

    def _serve(self, operation: str, request: Any) -> Any:
        body = json.loads(request.body)
        if body.get("ReturnValues") != "UPDATED_OLD":
            return self._moto(operation, request)
        # Of the old attributes moto leaves out those that stayed as they were; DynamoDB does not.
        request.body = json.dumps(body | {"ReturnValues": "ALL_OLD"}).encode()
        answer = self._moto(operation, request)
        old = json.loads(answer.content).get("Attributes", {})
        if answer.status_code != 200 or not old:
            return answer
        named = body["ExpressionAttributeNames"].values()
        attributes = {name: value for name, value in old.items() if name in named}
        return _answer(request, 200, {"Attributes": attributes})

    def _moto(self, operation: str, request: Any) -> Any:
        with self._lock:
            return botocore_stubber(event_name=f"before-send.dynamodb.{operation}", request=request)


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _answer(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    return AWSResponse(request.url, status, HTTPHeaders(), _Raw(json.dumps(body).encode()))


class Damage(Protocol):
    """Reaches past a store to what it wrote."""

    def payload(self, conversation: str, number: int, payload: bytes) -> None: ...
    def version(self, conversation: str, number: int, version: int) -> None: ...
    def record(self, conversation: str, number: int, position: str, payload: bytes) -> None: ...
    def positions(self, conversation: str, number: int) -> list[str]: ...


@pytest.fixture
def damage(store: AgentSessionStore, request: pytest.FixtureRequest) -> Iterator[Damage]:
    if isinstance(store, DynamoDbStore):
        yield _DynamoDbDamage(request.getfixturevalue("client"))
        return
    connection = sqlite3.connect(request.getfixturevalue("sqlite_path"))
    yield _SqliteDamage(connection)
    connection.close()


class _SqliteDamage:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def payload(self, conversation: str, number: int, payload: bytes) -> None:
        self._set("turns SET payload = ?", "", payload, conversation, number)

    def version(self, conversation: str, number: int, version: int) -> None:
        self._set("turns SET version = ?", "", version, conversation, number)

    def record(self, conversation: str, number: int, position: str, payload: bytes) -> None:
        self._set(
            "records SET payload = ?", "AND position = ?", payload, conversation, number, position
        )

    def positions(self, conversation: str, number: int) -> list[str]:
        rows = self._connection.execute(
            "SELECT position FROM records WHERE conversation = ? AND number = ? ORDER BY position",
            (conversation, number),
        )
        return [position for (position,) in rows]

    def _set(self, what: str, more: str, *values: object) -> None:
        where = f"WHERE conversation = ? AND number = ? {more}"
        with self._connection:
            changed = self._connection.execute(f"UPDATE {what} {where}", values)
        assert changed.rowcount == 1


class _DynamoDbDamage:
    def __init__(self, client: DynamoDBClient) -> None:
        self._client = client

    def payload(self, conversation: str, number: int, payload: bytes) -> None:
        self._set(conversation, number, {"#n": "payload"}, "#n", {"B": payload})

    def version(self, conversation: str, number: int, version: int) -> None:
        self._set(conversation, number, {"#n": "version"}, "#n", {"N": str(version)})

    def record(self, conversation: str, number: int, position: str, payload: bytes) -> None:
        names = {"#n": f"r#{position}", "#p": "payload"}
        self._set(conversation, number, names, "#n.#p", {"B": payload})

    def positions(self, conversation: str, number: int) -> list[str]:
        key = self._key(conversation, number)
        header = self._client.get_item(TableName=TABLE, Key=key)["Item"]
        return sorted(name.removeprefix("r#") for name in header if name.startswith("r#"))

    def _key(self, conversation: str, number: int) -> Any:
        """Find the one turn of that number, which may have been appended without an id."""
        (item,) = self._client.query(
            TableName=TABLE,
            KeyConditionExpression="conversation = :c AND begins_with(part, :p)",
            ExpressionAttributeValues={
                ":c": {"S": conversation},
                ":p": {"S": f"t#{number:010}"},
            },
        )["Items"]
        return {name: item[name] for name in ("conversation", "part")}

    def _set(
        self, conversation: str, number: int, names: dict[str, str], path: str, value: Any
    ) -> None:
        self._client.update_item(
            TableName=TABLE,
            Key=self._key(conversation, number),
            UpdateExpression=f"SET {path} = :v",
            ConditionExpression=f"attribute_exists({path})",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={":v": value},
        )


@pytest.fixture(scope="session")
def large() -> list[TurnMemory]:
    """Two turns that take several chunks each: text that compression cannot do much with."""
    texts = (random.Random(seed).choices(string.printable, k=1_000_000) for seed in (1, 2))
    return [TurnMemory([{"content": "".join(text)}]) for text in texts]


@pytest.fixture
def parts(client: DynamoDBClient) -> Callable[[], list[str]]:
    """Lists the sort keys of all that stands in the table."""

    def listed() -> list[str]:
        pages = client.get_paginator("scan").paginate(TableName=TABLE)
        return sorted(item["part"]["S"] for page in pages for item in page["Items"])

    return listed
