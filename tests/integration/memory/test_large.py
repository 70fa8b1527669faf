"""Turns and records of any size, in both stores."""

from __future__ import annotations

import random
import string
from functools import cache

import pytest

from parley.errors import Fenced
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"


@cache
def long_noise() -> str:
    """Make text that compression cannot do much with, once: it takes as long as a test."""
    return "".join(random.Random(0).choices(string.printable, k=2_000_000))


def noise(size: int, seed: int = 0) -> str:
    """Some of it, which begins elsewhere with each seed."""
    return long_noise()[40_000 * seed :][:size]


def large(seed: int, size: int = 1_000_000) -> TurnMemory:
    return TurnMemory([{"role": "user", "content": noise(size, seed)}], reply=str(seed))


def test_several_turns_of_a_megabyte_come_back_whole(store: AgentSessionStore) -> None:
    memories = [large(1), TurnMemory([{"small": True}]), large(3), large(4)]
    for number, memory in enumerate(memories, start=1):
        store.finish(KEY, numbered(number), 1, memory)

    assert [turn.memory for turn in store.read_newest(KEY, 3)] == memories[:0:-1]
    assert [turn.memory for turn in store.read(KEY, [numbered(1), numbered(3)])] == [
        memories[2],
        memories[0],
    ]
    assert store.statistics(KEY).bytes > 2_000_000


@pytest.mark.parametrize("size", range(330_000, 560_000, 23_000))
def test_turns_about_the_limit_of_an_item_come_back_whole(
    store: AgentSessionStore, size: int
) -> None:
    store.finish(KEY, numbered(1), 1, large(1, size))

    assert store.read(KEY, [numbered(1)])[0].memory == large(1, size)


def test_a_page_of_large_turns_does_not_end_the_reading(store: AgentSessionStore) -> None:
    memories = [large(seed, 300_000) for seed in range(8)]
    for number, memory in enumerate(memories, start=1):
        store.finish(KEY, numbered(number), 1, memory)

    assert [turn.memory for turn in store.read_newest(KEY, 7)] == memories[:0:-1]
    assert store.forget_before(KEY, 8).turns == 7
    assert store.statistics(KEY).turns == 1


def test_a_large_finished_turn_is_given_back_to_who_claims_it(store: AgentSessionStore) -> None:
    store.finish(KEY, numbered(1), 1, large(1))

    done = store.claim(KEY, numbered(1), 2).done

    assert done is not None
    assert done.memory == large(1)
    assert store.read(KEY, [numbered(1)]) == [done]


def test_large_records_come_back_whole(store: AgentSessionStore) -> None:
    responses = {str(n): {"text": noise(1_000_000, n)} for n in range(3)} | {"3": {"text": "-"}}
    for position, response in responses.items():
        store.record(KEY, numbered(1), 1, position, response)

    assert store.claim(KEY, numbered(1), 2).records == responses


def test_many_records_of_middle_size_come_back_whole(store: AgentSessionStore) -> None:
    responses = {str(n): {"text": noise(30_000, n)} for n in range(25)}
    for position, response in responses.items():
        store.record(KEY, numbered(1), 1, position, response)

    assert store.claim(KEY, numbered(1), 2).records == responses


def test_a_large_record_is_replaced_whole(store: AgentSessionStore) -> None:
    store.record(KEY, numbered(1), 1, "0", {"text": noise(1_000_000)})
    store.record(KEY, numbered(1), 1, "0", {"text": noise(900_000, 1)})
    store.record(KEY, numbered(1), 1, "1", {"text": noise(900_000, 2)})
    store.record(KEY, numbered(1), 1, "1", {"text": "small"})

    records = store.claim(KEY, numbered(1), 2).records

    assert records == {"0": {"text": noise(900_000, 1)}, "1": {"text": "small"}}


def test_a_replaced_attempt_changes_nothing_with_large_writes(store: AgentSessionStore) -> None:
    store.record(KEY, numbered(1), 1, "0", {"text": noise(600_000)})
    store.claim(KEY, numbered(1), 2)

    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 1, "0", {"text": noise(600_000, 1)})
    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 1, large(1))

    assert store.claim(KEY, numbered(1), 2).records == {"0": {"text": noise(600_000)}}


def test_items_are_popped_off_a_large_turn(store: AgentSessionStore) -> None:
    items = [{"content": noise(500_000, n)} for n in range(3)]
    store.append(KEY, TurnMemory([dict(item) for item in items]))

    assert [store.pop_item(KEY) for _ in range(4)] == [items[2], items[1], items[0], None]
