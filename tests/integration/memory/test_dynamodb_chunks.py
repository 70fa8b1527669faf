"""Payloads over DynamoDB's limit of an item: none is lost, and no chunk stays behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from parley.errors import Fenced, StoreUnavailable
from parley.memory.codec import Unreadable
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.stores.turn_keys import numbered

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")
Parts = Callable[[], list[str]]


@pytest.fixture
def store(dynamodb_store: DynamoDbStore) -> AgentSessionStore:
    return dynamodb_store


def test_a_large_turn_stands_in_a_header_and_chunks(
    store: AgentSessionStore, parts: Parts, large: list[TurnMemory]
) -> None:
    store.finish(KEY, numbered(12), 1, large[0])

    *chunks, header = parts()
    assert header == f"t#0000000012#{numbered(12).id}"
    prefix, number, write, _ = chunks[0].split("#")
    assert chunks == [f"c#0000000012#{write}#{index:04}" for index in range(len(chunks))]
    assert (prefix, number) == ("c", "0000000012")


def test_replaced_chunks_are_removed(
    store: AgentSessionStore, parts: Parts, large: list[TurnMemory]
) -> None:
    store.record(KEY, numbered(1), 1, "0", {"text": large[0].items[0]["content"]})
    store.record(KEY, numbered(1), 1, "0", {"text": large[1].items[0]["content"]})
    store.record(KEY, numbered(1), 1, "1", {"text": large[0].items[0]["content"]})
    assert len({part.split("#")[2] for part in parts() if part.startswith("c")}) == 2

    store.finish(KEY, numbered(1), 1, large[0])
    assert len({part.split("#")[2] for part in parts() if part.startswith("c")}) == 1

    store.finish(KEY, numbered(1), 1, MEMORY)
    assert parts() == [f"t#0000000001#{numbered(1).id}"]


def test_the_chunks_of_a_lost_race_are_removed(
    store: AgentSessionStore, parts: Parts, large: list[TurnMemory]
) -> None:
    store.claim(KEY, numbered(1), 2)

    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 1, large[0])
    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 1, "0", {"text": large[0].items[0]["content"]})

    assert parts() == [f"t#0000000001#{numbered(1).id}"]


def test_popping_leaves_no_chunks_behind(
    store: AgentSessionStore, parts: Parts, large: list[TurnMemory]
) -> None:
    store.append(KEY, TurnMemory([*large[0].items, *large[1].items]))

    store.pop_item(KEY)
    store.pop_item(KEY)

    assert parts() == []


def test_a_turn_that_misses_a_chunk_is_given_back_without_its_memory(
    store: AgentSessionStore, parts: Parts, client: DynamoDBClient, large: list[TurnMemory]
) -> None:
    store.finish(KEY, numbered(1), 1, large[0])
    _remove(client, parts()[1])

    assert [turn.memory for turn in store.read_newest(KEY, None)] == [None]
    assert [turn.memory for turn in store.read(KEY, [numbered(1)])] == [None]
    assert store.pop_item(KEY) is None
    assert parts() == []


def test_a_record_that_misses_a_chunk_is_not_passed_over(
    store: AgentSessionStore, parts: Parts, client: DynamoDBClient, large: list[TurnMemory]
) -> None:
    store.record(KEY, numbered(1), 1, "0", {"text": large[0].items[0]["content"]})
    _remove(client, parts()[0])

    with pytest.raises(Unreadable):
        store.claim(KEY, numbered(1), 2)


def test_chunks_that_no_header_names_are_swept_up(
    store: AgentSessionStore,
    parts: Parts,
    client: DynamoDBClient,
    wire: Any,
    large: list[TurnMemory],
) -> None:
    for number in (1, 2, 3):
        wire.refuse("PutItem", "ThrottlingException")
        with pytest.raises(StoreUnavailable):
            store.finish(KEY, numbered(number), 1, large[0])
    assert {part[:12] for part in parts()} == {f"c#{number:010}" for number in (1, 2, 3)}

    assert store.forget_before(KEY, 3).turns == 0
    assert {part[:12] for part in parts()} == {"c#0000000003"}

    assert store.forget(KEY).turns == 0
    assert parts() == []


def test_a_write_succeeds_even_if_old_chunks_cannot_be_removed(
    store: AgentSessionStore, wire: Any, large: list[TurnMemory]
) -> None:
    store.finish(KEY, numbered(1), 1, large[0])
    wire.refuse("BatchWriteItem", "InternalServerError", 500)

    store.finish(KEY, numbered(1), 1, MEMORY)

    assert [turn.memory for turn in store.read_newest(KEY, None)] == [MEMORY]


def _remove(client: DynamoDBClient, part: str) -> None:
    client.delete_item(TableName="memory", Key={"conversation": {"S": KEY}, "part": {"S": part}})
