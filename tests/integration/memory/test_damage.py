"""Payloads that cannot be read, in both stores."""

from __future__ import annotations

from typing import Any

import pytest

from parley.memory.codec import Unreadable, pack
from parley.memory.store import FORMAT_VERSION, AgentSessionStore, StoredTurn, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")

BAD_PAYLOADS = {
    "not compressed": b"hello",
    "cut short": pack({"items": [], "reply": None, "usage": {}})[:-3],
    "empty": b"",
    "another shape": pack(["items"]),
    "items that are no objects": pack({"items": ["text"], "reply": None, "usage": {}}),
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS.keys())
def test_a_damaged_turn_is_given_back_without_its_memory(
    store: AgentSessionStore, damage: Any, payload: bytes
) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)
    store.finish(KEY, numbered(2), 1, MEMORY)
    damage.payload(KEY, 1, payload)

    assert store.read_newest(KEY, None) == [
        StoredTurn(numbered(2), 1, MEMORY),
        StoredTurn(numbered(1), 1, None),
    ]
    assert store.read(KEY, [numbered(1)]) == [StoredTurn(numbered(1), 1, None)]
    assert store.claim(KEY, numbered(1), 2).done == StoredTurn(numbered(1), 2, None)


def test_a_turn_of_an_unknown_format_is_given_back_without_its_memory(
    store: AgentSessionStore, damage: Any
) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)
    damage.version(KEY, 1, FORMAT_VERSION + 1)

    assert store.read_newest(KEY, None) == [StoredTurn(numbered(1), 1, None)]


@pytest.mark.parametrize("payload", [b"hello", pack(["no object"])])
def test_a_damaged_record_is_not_passed_over_in_silence(
    store: AgentSessionStore, damage: Any, payload: bytes
) -> None:
    store.record(KEY, numbered(1), 1, "0", {"output": []})
    damage.record(KEY, 1, "0", payload)

    with pytest.raises(Unreadable):
        store.claim(KEY, numbered(1), 2)

    store.finish(KEY, numbered(1), 2, MEMORY)
    assert store.read(KEY, [numbered(1)]) == [StoredTurn(numbered(1), 2, MEMORY)]


def test_popping_removes_unreadable_turns_on_the_way(store: AgentSessionStore, damage: Any) -> None:
    store.append(KEY, MEMORY)
    store.append(KEY, MEMORY)
    store.append(KEY, TurnMemory([]))
    damage.payload(KEY, 2, b"hello")

    assert store.pop_item(KEY) == MEMORY.items[0]
    assert store.read_newest(KEY, None) == []
    assert store.pop_item(KEY) is None


def test_damaged_turns_can_be_forgotten_and_counted(store: AgentSessionStore, damage: Any) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)
    damage.payload(KEY, 1, b"hello")

    assert store.statistics(KEY).turns == 1
    assert store.forget(KEY).turns == 1
