"""Memory goes by itself: what has expired is absent, in both stores, removed or not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from parley.errors import Fenced
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import (
    AgentSessionStore,
    ClaimedTurn,
    Held,
    MemoryStatistics,
    StoredTurn,
    TurnMemory,
)
from parley.timing import OPEN_SECONDS
from parley_testing.stores.moving_clock import DAY, MovingClock
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")
OTHER = TurnMemory([{"role": "user", "content": "from the transcript"}], reply="hi")
RECORD = {"output": [{"type": "message"}]}
KEPT, LIFE = 7.0, 8.75  # the retention, and a quarter more


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    return MovingClock(monkeypatch)


def numbers(turns: list[StoredTurn]) -> list[int]:
    return [turn.number for turn in turns]


def test_a_finished_turn_is_there_for_the_retention_and_then_absent(
    store: AgentSessionStore, clock: MovingClock
) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)
    clock.move(days=KEPT + 0.1)
    store.finish(KEY, numbered(2), 1, MEMORY)
    assert numbers(store.read_newest(KEY, None)) == [2, 1]

    clock.move(days=LIFE - KEPT)

    assert numbers(store.read_newest(KEY, None)) == [2]
    assert numbers(store.read(KEY, [numbered(1), numbered(2)])) == [2]
    assert store.statistics(KEY).turns == 1
    clock.move(days=LIFE)
    assert store.read_newest(KEY, 1) == []
    assert store.statistics(KEY) == MemoryStatistics()


def test_a_turn_behind_those_that_have_expired_is_found(
    store: AgentSessionStore, clock: MovingClock
) -> None:
    for number in range(1, 9):
        store.finish(KEY, numbered(number), 1, MEMORY)
    clock.move(days=LIFE - 1)
    store.write_back(KEY, [StoredTurn(numbered(2), 1, MEMORY)])
    clock.move(days=2)

    assert numbers(store.read_newest(KEY, 3)) == [2]
    assert store.read_newest(KEY, 3, before=2) == []


def test_a_turn_tells_when_it_is_to_be_written_anew(
    store: AgentSessionStore, clock: MovingClock
) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)
    assert not store.read_newest(KEY, 1)[0].ends_soon

    clock.move(days=LIFE - KEPT + 0.1)

    assert store.read_newest(KEY, 1)[0].ends_soon
    assert store.read(KEY, [numbered(1)])[0].ends_soon


def test_what_is_written_back_lives_as_long_again(
    store: AgentSessionStore, clock: MovingClock
) -> None:
    for number in range(1, 31):
        store.finish(KEY, numbered(number), 1, MEMORY)
    clock.move(days=LIFE - 1)
    found = store.read_newest(KEY, None)

    store.write_back(KEY, found)

    assert not any(each.ends_soon for each in store.read_newest(KEY, None))
    clock.move(days=KEPT)
    again = store.read_newest(KEY, None)
    assert [(each.turn, each.attempt, each.memory) for each in again] == [
        (numbered(number), 1, MEMORY) for number in range(30, 0, -1)
    ]


def test_a_large_turn_is_written_back_whole(
    store: AgentSessionStore, clock: MovingClock, large: list[TurnMemory]
) -> None:
    store.finish(KEY, numbered(1), 1, large[0])
    clock.move(days=LIFE - 1)

    store.write_back(KEY, store.read_newest(KEY, None))

    clock.move(days=KEPT)
    assert store.read_newest(KEY, None)[0].memory == large[0]


def test_what_was_rebuilt_replaces_whatever_is_not_believed(store: AgentSessionStore) -> None:
    """Postgres vouches for attempt 2: that of attempt 3 is of a future that was restored away."""
    store.claim(KEY, numbered(1), 3)
    store.finish(KEY, numbered(1), 3, MEMORY)
    store.record(KEY, numbered(2), 1, "0", RECORD)

    store.write_back(KEY, [StoredTurn(numbered(1), 2, OTHER), StoredTurn(numbered(2), 1, OTHER)])
    store.write_back(KEY, [StoredTurn(numbered(3), 1, None)])

    assert store.read_newest(KEY, None) == [
        StoredTurn(numbered(2), 1, OTHER),
        StoredTurn(numbered(1), 2, OTHER),
    ]
    assert store.claim(KEY, numbered(2), 5) == ClaimedTurn(StoredTurn(numbered(2), 5, OTHER), {})


def test_an_open_turns_records_outlive_what_is_finished(
    store: AgentSessionStore, clock: MovingClock, large: list[TurnMemory]
) -> None:
    """The deployment may have stood still for as long."""
    long_ago = {"output": large[0].items}
    store.record(KEY, numbered(1), 1, "0", long_ago)
    store.finish(KEY, numbered(2), 1, MEMORY)
    clock.move(days=OPEN_SECONDS / DAY)

    assert store.remove_expired(100).turns <= 1
    assert store.claim(KEY, numbered(1), 2) == ClaimedTurn(None, {"0": long_ago})
    store.record(KEY, numbered(1), 2, "1", RECORD)
    clock.move(days=OPEN_SECONDS / DAY)
    store.remove_expired(100)
    assert store.claim(KEY, numbered(1), 3).records["1"] == RECORD


def test_who_may_write_does_not_depend_on_it(store: AgentSessionStore, clock: MovingClock) -> None:
    """Removed within days, it must not seem to come and go to who carries the turn on."""
    store.claim(KEY, numbered(1), 2)
    store.finish(KEY, numbered(1), 2, MEMORY)
    clock.move(days=LIFE + 1)
    assert store.read_newest(KEY, None) == []

    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 1, OTHER)
    with pytest.raises(Fenced):
        store.claim(KEY, numbered(1), 1)
    done = store.claim(KEY, numbered(1), 3).done

    assert done is not None
    assert done.memory == MEMORY
    assert store.read_newest(KEY, None) == [], "a claim brings nothing back"


def test_a_discarded_turn_keeps_its_fence_and_nothing_else(
    store: AgentSessionStore, large: list[TurnMemory]
) -> None:
    store.claim(KEY, numbered(1), 2)
    store.record(KEY, numbered(1), 2, "0", {"output": large[0].items})

    store.discard(KEY, numbered(1), 2)

    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 1, "0", RECORD)
    assert store.claim(KEY, numbered(1), 2) == ClaimedTurn(None, {})


def test_a_discarded_turn_expires_as_a_finished_one(
    store: AgentSessionStore, clock: MovingClock, request: pytest.FixtureRequest
) -> None:
    store.record(KEY, numbered(1), 1, "0", RECORD)
    store.discard(KEY, numbered(1), 1)

    clock.move(days=LIFE + 0.1)

    assert _expired(store, request) == 1


@pytest.mark.parametrize("state", ["finished", "another attempt's", "not there"])
def test_what_is_not_the_attempts_open_turn_is_not_discarded(
    store: AgentSessionStore, state: str
) -> None:
    if state == "finished":
        store.finish(KEY, numbered(1), 1, MEMORY)
    elif state == "another attempt's":
        store.record(KEY, numbered(1), 1, "0", RECORD)
        store.claim(KEY, numbered(1), 2)

    store.discard(KEY, numbered(1), 1)

    assert store.weigh(KEY).turns == (0 if state == "not there" else 1)
    claimed = store.claim(KEY, numbered(1), 2)
    assert (claimed.done is not None) == (state == "finished")
    assert claimed.records == ({"0": RECORD} if state == "another attempt's" else {})


def test_what_was_appended_never_expires(
    store: AgentSessionStore, clock: MovingClock, request: pytest.FixtureRequest
) -> None:
    two = TurnMemory([{"content": "one"}, {"content": "two"}])
    store.append("sdk_notes", two)
    store.pop_item("sdk_notes")

    clock.move(days=36_500)

    assert _expired(store, request) == 0
    (found,) = store.read_newest("sdk_notes", None)
    assert found.memory == TurnMemory(two.items[:1])
    assert not found.ends_soon


def test_in_sqlite_a_cleanup_removes_what_has_expired_a_part_at_a_time(
    sqlite_store: SqliteStore, clock: MovingClock
) -> None:
    store = sqlite_store
    for number in range(1, 6):
        store.finish(KEY, numbered(number), 1, MEMORY)
    clock.move(days=LIFE)
    store.finish(KEY, numbered(6), 1, MEMORY)
    held = store.expired()
    assert held == store.weigh(KEY, before=6)

    first, second = store.remove_expired(3), store.remove_expired(3)

    assert (first + second, second.turns) == (held, 2)
    assert store.remove_expired(3) == store.expired() == Held()
    assert store.weigh(KEY).turns == 1


def test_on_dynamodb_each_item_says_when_it_goes(
    dynamodb_store: DynamoDbStore, client: Any, clock: MovingClock, large: list[TurnMemory]
) -> None:
    """Chunks after what names them: a turn must not read as damaged in between."""
    store = dynamodb_store
    store.finish(KEY, numbered(1), 1, large[0])
    store.record(KEY, numbered(2), 1, "0", {"output": large[0].items})
    store.claim(KEY, numbered(3), 2)

    pages = client.get_paginator("scan").paginate(TableName="memory")
    items = [item for page in pages for item in page["Items"]]

    ends = {item["part"]["S"]: int(item["expires_at"]["N"]) for item in items}
    finished = ends[f"t#{1:010}#{numbered(1).id}"]
    opened = [ends[f"t#{number:010}#{numbered(number).id}"] for number in (2, 3)]
    chunks = {
        number: [ends[p] for p in ends if p.startswith(f"c#{number:010}")] for number in (1, 2)
    }
    assert chunks[1], "it is large"
    assert chunks[2], "it is large"
    assert min(chunks[1]) > finished
    assert min(chunks[2]) > max(opened)
    assert min(opened) >= finished + OPEN_SECONDS - 60
    assert store.remove_expired(100) == store.expired() == Held()


def test_what_was_written_without_an_end_is_written_anew(
    dynamodb_store: DynamoDbStore, client: Any
) -> None:
    dynamodb_store.finish(KEY, numbered(1), 1, MEMORY)
    client.update_item(
        TableName="memory",
        Key={"conversation": {"S": KEY}, "part": {"S": f"t#{1:010}#{numbered(1).id}"}},
        UpdateExpression="REMOVE expires_at",
    )

    (found,) = dynamodb_store.read_newest(KEY, None)

    assert (found.memory, found.ends_soon) == (MEMORY, True)


def _expired(store: AgentSessionStore, request: pytest.FixtureRequest) -> int:
    """Count what has expired: of SQLite's turns, or of DynamoDB's items by their attribute."""
    if isinstance(store, SqliteStore):
        return store.expired().turns
    client = request.getfixturevalue("client")
    ends = [
        item.get("expires_at", {}).get("N") for item in client.scan(TableName="memory")["Items"]
    ]
    return sum(end is not None and int(end) <= time.time() for end in ends)
