"""Summaries beside turns: one read gives both, and what goes by numbers leaves them alone."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import pytest

from parley.errors import Fenced
from parley.ids import SUMMARY_NUMBER, TurnKey
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.store import AgentSessionStore, StoredTurn, TurnMemory
from parley.memory.summary import summary_memory
from parley_testing.stores.turn_keys import numbered

KEY = "user_alice_conv_1"
FIRST, SECOND = (TurnKey(SUMMARY_NUMBER, UUID(int=number)) for number in (1, 2))
USAGE = {"model_calls": 1, "input_tokens": 5, "output_tokens": 3}


def turn(number: int) -> TurnMemory:
    return TurnMemory([{"role": "user", "content": f"{number}"}], f"answer {number}")


@pytest.fixture
def talked(store: AgentSessionStore) -> AgentSessionStore:
    """Three turns, and a summary."""
    for number in (1, 2, 3):
        store.finish(KEY, numbered(number), 1, turn(number))
    store.finish(KEY, FIRST, 1, summary_memory("I am Ada.", USAGE))
    return store


def keys(turns: list[StoredTurn]) -> list[TurnKey]:
    return [each.turn for each in turns]


def test_the_newest_turns_begin_with_it(talked: AgentSessionStore) -> None:
    newest = talked.read_newest(KEY, 4)

    assert keys(newest) == [FIRST, *map(numbered, (3, 2, 1))]
    assert newest[0].memory is not None
    assert newest[0].memory.reply == "I am Ada."
    assert keys(talked.read_newest(KEY, 4, before=SUMMARY_NUMBER)) == [*map(numbered, (3, 2, 1))]


def test_one_call_reads_both(dynamodb_store: DynamoDbStore, wire: Any) -> None:
    for number in (1, 2, 3):
        dynamodb_store.finish(KEY, numbered(number), 1, turn(number))
    dynamodb_store.finish(KEY, FIRST, 1, summary_memory("I am Ada.", USAGE))
    dynamodb_store.claim(KEY, SECOND, 1)  # another in the making
    wire.sent.clear()

    assert keys(dynamodb_store.read_newest(KEY, 6)) == [FIRST, *map(numbered, (3, 2, 1))]
    assert wire.sent == ["Query"]


def test_its_bytes_push_no_turn_out(talked: AgentSessionStore) -> None:
    talked.finish(KEY, SECOND, 1, summary_memory("x" * 10_000, USAGE))

    newest = talked.read_newest(KEY, 5, max_bytes=1_000)

    assert keys(newest) == [SECOND, FIRST, *map(numbered, (3, 2, 1))]


def test_it_is_found_by_its_name(talked: AgentSessionStore) -> None:
    assert keys(talked.read(KEY, [FIRST])) == [FIRST]
    assert talked.read(KEY, [SECOND]) == []


def test_it_is_no_turn_that_counts(talked: AgentSessionStore) -> None:
    counted = talked.statistics(KEY)

    assert (counted.turns, counted.items) == (3, 3)


def test_forgetting_turns_leaves_it(talked: AgentSessionStore) -> None:
    talked.forget_before(KEY, 2**31 - 1)

    assert keys(talked.read_newest(KEY, None)) == [FIRST]


def test_forgetting_summaries_leaves_turns(talked: AgentSessionStore) -> None:
    talked.finish(KEY, SECOND, 1, summary_memory("And of Graz.", USAGE))
    talked.forget_summaries(KEY, keep=[SECOND.id])
    assert keys(talked.read_newest(KEY, None)) == [SECOND, *map(numbered, (3, 2, 1))]

    talked.claim(KEY, FIRST, 2)  # open ones go as well
    talked.forget_summaries(KEY)

    assert keys(talked.read_newest(KEY, None)) == [*map(numbered, (3, 2, 1))]
    assert talked.weigh(KEY).turns == 3


def test_forgetting_all_takes_it_along(talked: AgentSessionStore) -> None:
    assert talked.forget(KEY).turns == 4
    assert talked.weigh(KEY).turns == 0
    assert talked.read_newest(KEY, None) == []


def test_other_conversations_keep_theirs(talked: AgentSessionStore) -> None:
    talked.finish("another", FIRST, 1, summary_memory("I am Bob.", USAGE))

    talked.forget_summaries(KEY)

    assert keys(talked.read_newest("another", None)) == [FIRST]


def test_it_is_fenced_as_a_turn_is(store: AgentSessionStore) -> None:
    store.claim(KEY, FIRST, 2)

    with pytest.raises(Fenced):
        store.finish(KEY, FIRST, 1, summary_memory("a zombie's", USAGE))
    store.finish(KEY, FIRST, 2, summary_memory("I am Ada.", USAGE))
    claimed = store.claim(KEY, FIRST, 3)

    assert claimed.done is not None
    assert claimed.done.memory is not None
    assert claimed.done.memory.usage == USAGE


def test_it_expires_as_a_turn_does(
    talked: AgentSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30 * 86_400)

    assert talked.read_newest(KEY, None) == []
    assert talked.read(KEY, [FIRST]) == []
