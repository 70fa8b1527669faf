"""What both stores give back of what was finished."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from parley.memory import dynamodb_turns, sqlite, versions
from parley.memory.store import AgentSessionStore, MemoryStatistics, StoredTurn, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"


def said(text: str) -> TurnMemory:
    return TurnMemory([{"role": "user", "content": text}], reply=f"{text}!", usage={"calls": 1})


def finish(store: AgentSessionStore, *numbers: int) -> None:
    for number in numbers:
        store.finish(KEY, numbered(number), 1, said(str(number)))


def numbers(turns: list[StoredTurn]) -> list[int]:
    return [turn.number for turn in turns]


def test_a_finished_turn_comes_back_whole(store: AgentSessionStore) -> None:
    memory = TurnMemory(
        [{"role": "user", "content": 'Grüße 🦜\u2028 "\\ \u0001'}, {"n": [1, 2.5, None, True]}],
        reply="é",
        usage={"model_calls": 2, "input_tokens": 10},
    )

    store.finish(KEY, numbered(3), 1, memory)

    (turn,) = store.read_newest(KEY, 1)
    assert (turn.number, turn.attempt, turn.memory) == (3, 1, memory)


def test_a_turn_without_items_or_reply_comes_back(store: AgentSessionStore) -> None:
    store.finish(KEY, numbered(1), 1, TurnMemory([]))

    assert store.read(KEY, [numbered(1)])[0].memory == TurnMemory([], None, {})


def test_the_newest_turns_come_first(store: AgentSessionStore) -> None:
    finish(store, 9, 10, 2, 100, 1)

    assert numbers(store.read_newest(KEY, None)) == [100, 10, 9, 2, 1]


@pytest.mark.parametrize(("turns", "found"), [(0, []), (-1, []), (2, [5, 4]), (9, [5, 4, 3, 2, 1])])
def test_at_most_so_many_turns_are_read(
    store: AgentSessionStore, turns: int, found: list[int]
) -> None:
    finish(store, 1, 2, 3, 4, 5)

    assert numbers(store.read_newest(KEY, turns)) == found


@pytest.mark.parametrize(
    ("before", "found"), [(6, [5, 4]), (4, [3, 2]), (2, [1]), (1, []), (0, [])]
)
def test_only_turns_below_the_bound_are_read(
    store: AgentSessionStore, before: int, found: list[int]
) -> None:
    finish(store, 1, 2, 3, 4, 5)

    assert numbers(store.read_newest(KEY, 2, before=before)) == found


def test_no_more_is_read_than_so_many_bytes_and_the_turn_that_is_too_much(
    store: AgentSessionStore,
) -> None:
    """Of ten turns of 10 kB; the window ends at the one that has no room in it."""
    for number in range(1, 11):
        store.finish(KEY, numbered(number), 1, said("x" * 9_960))

    assert numbers(store.read_newest(KEY, 10, max_bytes=35_000)) == [10, 9, 8, 7]
    assert numbers(store.read_newest(KEY, 2, max_bytes=35_000)) == [10, 9]
    assert numbers(store.read_newest(KEY, None, max_bytes=1)) == [10], "the newest in any case"
    assert numbers(store.read_newest(KEY, None, before=4, max_bytes=10**9)) == [3, 2, 1]
    named = [numbered(number) for number in (3, 5, 6, 8, 9)]
    assert numbers(store.read(KEY, named, max_bytes=15_000)) == [9, 8]
    assert numbers(store.read(KEY, named)) == [9, 8, 6, 5, 3]


def test_what_has_no_room_is_not_even_decoded(
    store: AgentSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 11):
        store.finish(KEY, numbered(number), 1, said("x" * 9_960))
    decoded = []
    readable = versions.readable_memory

    def noting(*arguments: Any) -> TurnMemory | None:
        decoded.append(1)
        return readable(*arguments)

    for module in (sqlite, dynamodb_turns):
        monkeypatch.setattr(module, "readable_memory", noting)

    store.read_newest(KEY, 10, max_bytes=35_000)
    store.read(KEY, [numbered(number) for number in range(1, 11)], max_bytes=35_000)

    assert len(decoded) == 4 + 4


def test_open_turns_are_left_out_and_do_not_count(store: AgentSessionStore) -> None:
    finish(store, 1, 2, 5)
    store.record(KEY, numbered(3), 1, "0", {"output": []})
    store.claim(KEY, numbered(4), 2)
    store.claim(KEY, numbered(6), 2)
    store.claim(KEY, numbered(7), 2)

    assert numbers(store.read_newest(KEY, 2)) == [5, 2]
    assert numbers(store.read(KEY, [numbered(1), numbered(3), numbered(4), numbered(6)])) == [1]


def test_a_turn_just_written_is_read_consistently(store: AgentSessionStore) -> None:
    finish(store, 1)

    assert numbers(store.read_newest(KEY, 5, consistent=True)) == [1]


def test_named_turns_are_read_newest_first_without_those_missing(store: AgentSessionStore) -> None:
    finish(store, *range(1, 131))

    assert numbers(
        store.read(KEY, [numbered(3), numbered(500), numbered(12), numbered(7), numbered(12)])
    ) == [12, 7, 3]
    assert numbers(store.read(KEY, [numbered(n) for n in range(1, 1001)])) == list(
        range(130, 0, -1)
    )
    assert store.read(KEY, []) == []


def test_conversations_do_not_meet(store: AgentSessionStore) -> None:
    finish(store, 1)

    for other in ("user_ada_conv_2", "user_ada_conv_", "user_ada_conv_1x", "USER_ada_conv_1"):
        assert store.read_newest(other, None) == []
        assert store.read(other, [numbered(1)]) == []
        assert store.forget(other).turns == 0
        assert store.statistics(other) == MemoryStatistics(0, 0, 0, None)
    assert numbers(store.read_newest(KEY, None)) == [1]


def test_statistics_count_finished_turns_only(store: AgentSessionStore) -> None:
    begun = time.time()
    store.finish(KEY, numbered(1), 1, TurnMemory([{"a": 1}, {"b": 2}]))
    store.finish(KEY, numbered(2), 1, TurnMemory([{"c": 3}]))
    store.record(KEY, numbered(3), 1, "0", {"output": ["x"]})

    found = store.statistics(KEY)

    assert (found.turns, found.items) == (2, 3)
    assert 20 < found.bytes < 400
    assert found.last_activity_at is not None
    assert begun - 1 < found.last_activity_at.timestamp() <= time.time() + 1
    assert found.last_activity_at.tzinfo is UTC


def test_statistics_start_at_the_first_turn_that_counts(store: AgentSessionStore) -> None:
    finish(store, 1, 2, 3)

    assert store.statistics(KEY, since=3).turns == 1
    assert store.statistics(KEY, since=4) == MemoryStatistics()


def test_the_last_activity_is_that_of_the_newest_turn(store: AgentSessionStore) -> None:
    finish(store, 2)
    between = datetime.now(UTC)
    finish(store, 1)

    found = store.statistics(KEY)

    assert found.last_activity_at is not None
    assert found.last_activity_at <= between


def test_claiming_a_finished_turn_is_no_activity(store: AgentSessionStore) -> None:
    finish(store, 1)
    before = store.statistics(KEY)

    store.claim(KEY, numbered(1), 2)

    assert store.statistics(KEY) == before
