"""What both stores say they hold: of a conversation before it is removed, and all there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from parley.errors import StoreRefused
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, Held, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"


def said(text: str) -> TurnMemory:
    return TurnMemory([{"role": "user", "content": text}], reply=f"{text}!")


@pytest.fixture
def talked(store: AgentSessionStore) -> AgentSessionStore:
    """Three finished turns, one that is open, and another conversation."""
    for number in (1, 2, 10):
        store.finish(KEY, numbered(number), 1, said(f"{number}"))
    store.record(KEY, numbered(11), 1, "0", {"output": ["answer"]})
    store.claim(KEY, numbered(12), 2)
    store.finish("user_ada_conv_2", numbered(1), 1, said("other"))
    return store


@pytest.mark.parametrize(("before", "turns"), [(None, 5), (12, 4), (10, 2), (2, 1), (1, 0)])
def test_weighing_tells_what_removing_would(
    talked: AgentSessionStore, before: int | None, turns: int
) -> None:
    other = talked.weigh("user_ada_conv_2")

    held = talked.weigh(KEY, before=before)

    assert held.turns == turns
    removed = talked.forget(KEY) if before is None else talked.forget_before(KEY, before)
    assert removed == held
    assert talked.weigh(KEY, before=before) == Held()
    assert talked.weigh("user_ada_conv_2") == other


def test_weighing_removes_nothing(talked: AgentSessionStore) -> None:
    before = talked.read_newest(KEY, None)

    assert talked.weigh(KEY) == talked.weigh(KEY)

    assert talked.read_newest(KEY, None) == before


def test_bytes_are_those_of_finished_turns(talked: AgentSessionStore) -> None:
    assert talked.weigh(KEY).bytes == talked.statistics(KEY).bytes > 0
    talked.forget_before(KEY, 11)
    assert talked.weigh(KEY) == Held(turns=2, bytes=0)


def test_a_large_turn_counts_as_one(store: AgentSessionStore, large: list[TurnMemory]) -> None:
    store.finish(KEY, numbered(1), 1, large[0])
    store.finish(KEY, numbered(2), 1, said("small"))

    held = store.weigh(KEY, before=2)

    assert held.turns == 1
    assert held.bytes > 500_000
    assert store.forget_before(KEY, 2) == held


def test_a_conversation_that_is_not_there_holds_nothing(store: AgentSessionStore) -> None:
    assert store.weigh("nobody's") == store.forget("nobody's") == Held()


def listed(store: AgentSessionStore, limit: int) -> list[list[str]]:
    pages, place = [], None
    while True:
        page = store.conversations(place, limit)
        pages.append(list(page.keys))
        if page.next is None:
            return pages
        place = page.next


def test_an_empty_store_has_no_conversations(store: AgentSessionStore) -> None:
    assert listed(store, 10) == [[]]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_every_conversation_is_listed_once(store: AgentSessionStore, limit: int) -> None:
    keys = {f"user_ünï|{n} x_conv_{n}": n for n in range(1, 8)}
    for key, turns in keys.items():
        for number in range(1, turns + 1):
            store.finish(key, numbered(number), 1, said("hello"))
    store.record("only open", numbered(1), 1, "0", {"output": []})

    pages = listed(store, limit)

    assert sorted(key for page in pages for key in page) == sorted([*keys, "only open"])
    assert all(len(page) <= limit for page in pages)


def test_chunks_alone_are_listed(
    dynamodb_store: DynamoDbStore, parts: Callable[[], list[str]], large: list[TurnMemory]
) -> None:
    """What a process that died left of a large turn is found as well."""
    dynamodb_store.finish(KEY, numbered(1), 1, large[0])
    table = dynamodb_store._table
    table.delete_all(
        {"conversation": {"S": KEY}, "part": {"S": part}} for part in parts() if part[0] == "t"
    )

    assert listed(dynamodb_store, 100) == [[KEY]]
    assert dynamodb_store.forget(KEY) == Held()
    assert parts() == []


@pytest.mark.parametrize("limit", [1, 3])
def test_what_was_listed_may_be_removed_on_the_way(store: AgentSessionStore, limit: int) -> None:
    keys = [f"user_ada_conv_{n}" for n in range(6)]
    for key in keys:
        for number in (1, 2):
            store.finish(key, numbered(number), 1, said("hello"))
    found, place = [], None

    while True:
        page = store.conversations(place, limit)
        for key in page.keys:
            found.append(key)
            assert store.forget(key).turns in (1, 2)
        if (place := page.next) is None:
            break

    assert sorted(found) == keys
    assert listed(store, 100) == [[]]


@pytest.mark.parametrize("place", ["nonsense", '["a"]', '["a", 1]'])
def test_dynamodb_refuses_a_place_that_it_never_gave(
    dynamodb_store: DynamoDbStore, place: str
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        dynamodb_store.conversations(place, 10)


def test_a_place_that_dynamodb_itself_refuses_is_none(
    dynamodb_store: DynamoDbStore, wire: Any
) -> None:
    wire.refuse("Scan", "ValidationException")

    with pytest.raises(ValueError, match="key"):
        dynamodb_store.conversations('["", ""]', 10)
    with pytest.raises(StoreRefused):
        dynamodb_store.conversations(None, 10)


def test_sqlite_lists_a_record_that_lost_its_turn(
    sqlite_store: SqliteStore, sqlite_path: Path
) -> None:
    sqlite_store.record(KEY, numbered(1), 1, "0", {"output": []})
    with closing(sqlite3.connect(sqlite_path)) as connection, connection:
        connection.execute("DELETE FROM turns")

    assert listed(sqlite_store, 10) == [[KEY]]
    assert sqlite_store.forget(KEY) == Held()
    assert listed(sqlite_store, 10) == [[]]


def test_what_is_held_adds_up() -> None:
    assert sum([Held(1, 10), Held(2, 20)], Held()) == Held(3, 30)
