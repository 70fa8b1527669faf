"""Calls whose answer is lost, which the client library sends again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parley.errors import Fenced
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")
Parts = Callable[[], list[str]]


@pytest.fixture
def store(dynamodb_store: DynamoDbStore) -> AgentSessionStore:
    return dynamodb_store


def test_a_lost_answer_of_a_finish(
    store: AgentSessionStore, wire: Any, large: list[TurnMemory]
) -> None:
    wire.lose_answer("PutItem")

    store.finish(KEY, numbered(1), 1, large[0])

    assert wire.sent.count("PutItem") == 2
    assert store.read(KEY, [numbered(1)])[0].memory == large[0]


def test_a_lost_answer_of_a_finish_that_was_claimed_meanwhile(
    store: AgentSessionStore, wire: Any, large: list[TurnMemory]
) -> None:
    wire.lose_answer("PutItem", lambda: store.claim(KEY, numbered(1), 2))

    store.finish(KEY, numbered(1), 1, large[0])

    (turn,) = store.read_newest(KEY, None)
    assert (turn.attempt, turn.memory) == (2, large[0])


def test_a_lost_answer_of_a_finish_that_was_replaced_meanwhile(
    store: AgentSessionStore, wire: Any, parts: Parts, large: list[TurnMemory]
) -> None:
    def replace() -> None:
        store.claim(KEY, numbered(1), 2)
        store.finish(KEY, numbered(1), 2, large[1])

    wire.lose_answer("PutItem", replace)

    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 1, large[0])

    (turn,) = store.read_newest(KEY, None)
    assert (turn.attempt, turn.memory) == (2, large[1])
    assert len({part.split("#")[2] for part in parts() if part.startswith("c")}) == 1


def test_a_lost_answer_of_a_record(
    store: AgentSessionStore, wire: Any, large: list[TurnMemory]
) -> None:
    responses = {"0": {"text": "small"}, "1": {"text": large[0].items[0]["content"]}}
    for position, response in responses.items():
        wire.lose_answer("UpdateItem")
        store.record(KEY, numbered(1), 1, position, response)

    wire.lose_answer("UpdateItem")
    assert store.claim(KEY, numbered(1), 2).records == responses
    assert wire.sent.count("UpdateItem") == 6


def test_a_lost_answer_of_a_record_that_was_claimed_meanwhile(
    store: AgentSessionStore, wire: Any, large: list[TurnMemory]
) -> None:
    response = {"text": large[0].items[0]["content"]}
    wire.lose_answer("UpdateItem", lambda: store.claim(KEY, numbered(1), 2))

    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 1, "0", response)

    assert store.claim(KEY, numbered(1), 2).records == {"0": response}


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_lost_answer_of_an_append(
    store: AgentSessionStore, wire: Any, size: str, large: list[TurnMemory]
) -> None:
    memory = large[0] if size == "large" else MEMORY
    wire.lose_answer("PutItem")

    assert store.append(KEY, memory) == 1

    assert [turn.memory for turn in store.read_newest(KEY, None)] == [memory]


def test_a_lost_answer_of_a_pop(store: AgentSessionStore, wire: Any) -> None:
    store.append(KEY, TurnMemory([{"n": 1}, {"n": 2}]))
    wire.lose_answer("PutItem")
    assert store.pop_item(KEY) == {"n": 2}
    wire.lose_answer("PutItem")
    assert store.pop_item(KEY) == {"n": 1}
    assert store.pop_item(KEY) is None


def test_a_lost_answer_of_a_pop_that_takes_the_last_item(
    store: AgentSessionStore, wire: Any
) -> None:
    store.append(KEY, TurnMemory([{"n": 1}]))
    wire.lose_answer("DeleteItem")

    assert store.pop_item(KEY) == {"n": 1}
    assert store.pop_item(KEY) is None


def test_a_popped_item_is_given_back_even_if_its_turn_cannot_be_removed(
    store: AgentSessionStore, wire: Any
) -> None:
    store.append(KEY, TurnMemory([{"n": 1}]))
    wire.refuse("DeleteItem", "ThrottlingException")

    assert store.pop_item(KEY) == {"n": 1}
