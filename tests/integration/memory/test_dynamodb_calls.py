"""Which calls DynamoDB gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from parley.errors import StoreUnavailable
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")
Parts = Callable[[], list[str]]


@pytest.fixture
def store(dynamodb_store: DynamoDbStore) -> AgentSessionStore:
    return dynamodb_store


def test_the_newest_turns_take_one_query(store: AgentSessionStore, wire: Any) -> None:
    for number in range(1, 31):
        store.finish(KEY, numbered(number), 1, MEMORY)
    store.record(KEY, numbered(31), 1, "0", {})
    wire.sent.clear()

    assert len(store.read_newest(KEY, 30)) == 30
    assert len(store.read_newest(KEY, 10, before=20)) == 10
    assert len(store.read_newest(KEY, None)) == 30

    assert wire.sent == ["Query", "Query", "Query"]


@pytest.mark.parametrize("consistent", [True, False])
def test_the_newest_turns_are_read_as_consistently_as_asked(
    store: AgentSessionStore, wire: Any, consistent: bool
) -> None:
    store.read_newest(KEY, 1, consistent=consistent)

    assert json.loads(wire.bodies[-1])["ConsistentRead"] is consistent


def test_named_turns_are_read_consistently(store: AgentSessionStore, wire: Any) -> None:
    store.read(KEY, [numbered(1)])

    assert json.loads(wire.bodies[-1])["RequestItems"]["memory"]["ConsistentRead"] is True


def test_each_small_write_is_one_call(store: AgentSessionStore, wire: Any) -> None:
    store.record(KEY, numbered(1), 1, "0", {})
    store.claim(KEY, numbered(1), 2)
    store.record(KEY, numbered(1), 2, "1", {})
    store.finish(KEY, numbered(1), 2, MEMORY)

    assert wire.sent == ["UpdateItem", "UpdateItem", "UpdateItem", "PutItem"]


def test_turns_are_removed_in_batches(store: AgentSessionStore, wire: Any) -> None:
    for number in range(1, 61):
        store.finish(KEY, numbered(number), 1, MEMORY)
    wire.sent.clear()

    assert store.forget_before(KEY, 51).turns == 50

    assert wire.sent == ["Query", "BatchWriteItem", "BatchWriteItem", "Query"]


def test_what_a_batch_leaves_undone_is_asked_for_again(
    store: AgentSessionStore, wire: Any, parts: Parts, large: list[TurnMemory]
) -> None:
    wire.leave_undone("BatchWriteItem", "UnprocessedItems")
    store.finish(KEY, numbered(1), 1, large[0])
    store.finish(KEY, numbered(2), 1, MEMORY)
    wire.leave_undone("BatchGetItem", "UnprocessedKeys")
    assert [turn.memory for turn in store.read(KEY, [numbered(1), numbered(2)])] == [
        MEMORY,
        large[0],
    ]
    wire.leave_undone("BatchGetItem", "UnprocessedKeys")
    assert [turn.memory for turn in store.read_newest(KEY, 2)] == [MEMORY, large[0]]
    wire.leave_undone("BatchWriteItem", "UnprocessedItems")
    store.forget(KEY)
    assert parts() == []


@pytest.mark.parametrize(
    ("operation", "key"),
    [("BatchGetItem", "UnprocessedKeys"), ("BatchWriteItem", "UnprocessedItems")],
)
def test_a_batch_that_stays_undone_is_unavailable(
    store: AgentSessionStore, wire: Any, operation: str, key: str
) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)
    wire.serve_nothing(operation, key)

    with pytest.raises(StoreUnavailable):
        store.read(KEY, [numbered(1)]) if operation == "BatchGetItem" else store.forget(KEY)

    assert wire.sent.count(operation) == 6


def test_pages_and_chunks_for_which_a_window_has_no_room_are_not_fetched(
    dynamodb_store: DynamoDbStore, wire: Any, large: list[TurnMemory]
) -> None:
    """Ten turns of several chunks each: without the bound, ten megabytes are read to show one."""
    for number in range(1, 11):
        dynamodb_store.finish(KEY, numbered(number), 1, large[0])
    wire.sent.clear()

    found = dynamodb_store.read_newest(KEY, 10, max_bytes=1_500_000)

    assert [turn.number for turn in found] == [10, 9]
    assert wire.sent == ["Query", "BatchGetItem"]
    asked = json.loads(wire.bodies[-1])["RequestItems"]["memory"]["Keys"]
    assert {key["part"]["S"][:12] for key in asked} == {f"c#{n:010}" for n in (10, 9)}


def test_turns_behind_what_a_window_has_room_for_are_not_fetched_by_name(
    dynamodb_store: DynamoDbStore, wire: Any, large: list[TurnMemory]
) -> None:
    """Each carries its payload beside its header, so that a name fetches all of it."""
    (item,) = large[0].items
    inline = TurnMemory([{"content": item["content"][:300_000]}])
    for number in range(1, 42):
        dynamodb_store.finish(KEY, numbered(number), 1, inline)
    wire.sent.clear()
    wire.bodies.clear()

    found = dynamodb_store.read(KEY, [numbered(n) for n in range(1, 42)], max_bytes=1_000_000)

    assert [turn.number for turn in found] == [41, 40, 39]
    assert wire.sent == ["BatchGetItem"]
    asked = json.loads(wire.bodies[0])["RequestItems"]["memory"]["Keys"]
    assert len(asked) == 20
