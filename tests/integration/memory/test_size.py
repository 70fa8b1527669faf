"""How large a store says that it is."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from parley.errors import StoreUnavailable
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, StoreSize, TurnMemory
from parley_testing.stores.turn_keys import numbered

SAID = TurnMemory([{"role": "user", "content": "hello"}], reply="hello yourself")


def test_a_store_tells_how_many_turns_it_has(store: AgentSessionStore) -> None:
    store.finish("user_ada_conv_1", numbered(1), 1, SAID)
    store.finish("user_ada_conv_1", numbered(2), 1, SAID)
    store.finish("user_bob_conv_2", numbered(1), 1, SAID)

    assert store.size().items == 3


def test_an_empty_store_has_nothing(store: AgentSessionStore) -> None:
    assert store.size().items == 0


def test_a_file_is_as_large_as_what_it_keeps(
    sqlite_store: SqliteStore, large: list[TurnMemory]
) -> None:
    before = sqlite_store.size().bytes

    for number, memory in enumerate(large, start=1):
        sqlite_store.finish("user_ada_conv_1", numbered(number), 1, memory)

    kept = sqlite_store.statistics("user_ada_conv_1").bytes
    assert kept < sqlite_store.size().bytes - before < 1.1 * kept


def test_a_table_is_as_large_as_dynamodb_says() -> None:
    # moto does not weigh its tables.
    client = boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as dynamodb:
        table = {"ItemCount": 8, "TableSizeBytes": 12_345}
        dynamodb.add_response("describe_table", {"Table": table}, {"TableName": "memory"})

        assert DynamoDbStore(client, "memory").size() == StoreSize(items=8, bytes=12_345)


def test_a_table_that_cannot_be_asked_is_unavailable() -> None:
    client = boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as dynamodb:
        dynamodb.add_client_error("describe_table", "ThrottlingException", http_status_code=400)

        with pytest.raises(StoreUnavailable):
            DynamoDbStore(client, "memory").size()
