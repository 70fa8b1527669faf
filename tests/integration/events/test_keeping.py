"""How long both stores keep a log, and what goes with the memory beside it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from parley.events.log import EventLog
from parley.ids import TurnKey
from parley.memory.store import NO_TURN, Held, MemoryStatistics, StoredTurn, TurnMemory
from parley.timing import KEPT_SECONDS
from parley_testing.stores.turn_keys import numbered
from parley_testing.streams.event_writing import deltas

KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")


def write(log: EventLog, number: int, chunks: int = 1, key: str = KEY) -> None:
    for n in range(chunks):
        log.append(key, numbered(number), "one", deltas(2 * n + 1, 2))


def expire(stored: Any, number: int, *firsts: int) -> None:
    for first in firsts:
        stored.change((KEY, number, first), expires_at=int(time.time()))


def test_a_chunk_is_kept_for_a_day(stored: Any) -> None:
    before = int(time.time())
    write(stored.log, 1)

    (expires_at,) = stored.column("expires_at").values()

    assert before + KEPT_SECONDS <= expires_at <= time.time() + KEPT_SECONDS


def test_an_expired_log_reads_as_empty_though_it_is_still_there(stored: Any) -> None:
    write(stored.log, 1, chunks=2)

    expire(stored, 1, 1, 3)

    assert len(stored.column("first" if stored.kind == "sqlite" else "count")) == 2
    for after in range(6):
        assert stored.log.read(KEY, numbered(1), after=after) == []
        assert stored.log.read(KEY, numbered(1), after=after, limit=1) == []


def test_a_log_that_took_longer_than_a_day_loses_its_beginning_only(stored: Any) -> None:
    write(stored.log, 1, chunks=8)

    expire(stored, 1, 1, 3, 5)

    for after in range(16):
        expected = list(range(max(after, 6) + 1, 17))
        read = stored.log.read(KEY, numbered(1), after=after)
        assert [event.sequence for event in read] == expected
        assert stored.log.read(KEY, numbered(1), after=after, limit=1)[0].sequence == expected[0]


@pytest.mark.parametrize("first", [1, 3])
def test_an_expired_chunk_is_in_nobodys_way(stored: Any, first: int) -> None:
    write(stored.log, 1, chunks=2)
    expire(stored, 1, *range(1, first + 1, 2))

    stored.log.append(KEY, numbered(1), "other", deltas(first, 2, by="other"))

    assert stored.log.read(KEY, numbered(1), after=first - 1, limit=1) == deltas(
        first, 2, by="other"
    )


def test_sqlite_removes_what_has_expired_when_a_log_begins(in_sqlite: Any) -> None:
    write(in_sqlite.log, 1, chunks=3)
    write(in_sqlite.log, 2, chunks=2)
    expire(in_sqlite, 1, 1, 3)

    in_sqlite.log.append(KEY, numbered(2), "one", deltas(5, 1))
    assert (KEY, 1, 1) in in_sqlite.column("first")
    write(in_sqlite.log, 3)

    assert sorted(in_sqlite.column("first")) == [
        *((KEY, 1, 5), (KEY, 2, 1), (KEY, 2, 3), (KEY, 2, 5), (KEY, 3, 1))
    ]


def test_forgetting_a_conversation_removes_its_logs_and_does_not_count_them(stored: Any) -> None:
    for number in (1, 2, 3):
        write(stored.log, number, chunks=30)
    write(stored.log, 1, key="user_ada_conv_2")
    for number in (1, 2):
        stored.memory.finish(KEY, numbered(number), 1, MEMORY)
    weighed = stored.memory.weigh(KEY)

    held = stored.memory.forget(KEY)

    assert held == weighed
    assert held.turns == 2
    assert list(stored.column("writer")) == [("user_ada_conv_2", 1, 1)]
    assert [stored.log.read(KEY, numbered(number)) for number in (1, 2, 3)] == [[], [], []]


def test_a_log_alone_is_listed_and_forgotten(stored: Any) -> None:
    write(stored.log, 1, chunks=3)
    write(stored.log, 1, key="user_bob_conv_2")

    listed, place = [], None
    while True:
        page = stored.memory.conversations(place, 1)
        listed += page.keys
        if (place := page.next) is None:
            break

    assert sorted(listed) == [KEY, "user_bob_conv_2"]
    assert stored.memory.weigh(KEY) == stored.memory.forget(KEY) == Held()
    assert list(stored.memory.conversations(None, 10).keys) == ["user_bob_conv_2"]


def test_forgetting_older_turns_leaves_logs_for_their_day(stored: Any) -> None:
    for number in (1, 2):
        stored.memory.finish(KEY, numbered(number), 1, MEMORY)
        write(stored.log, number)

    assert stored.memory.forget_before(KEY, 3).turns == 2

    assert [stored.log.read(KEY, numbered(number)) for number in (1, 2)] == [deltas(1, 2)] * 2


def test_memory_does_not_see_logs(stored: Any) -> None:
    for number in (1, 2, 3):
        write(stored.log, number, chunks=2)
    assert (
        stored.memory.read_newest(KEY, None)
        == stored.memory.read(KEY, [numbered(1), numbered(2)])
        == []
    )
    assert stored.memory.statistics(KEY) == MemoryStatistics()
    assert stored.memory.append(KEY, MEMORY) == 1
    stored.memory.finish(KEY, numbered(2), 1, MEMORY)

    assert stored.memory.read_newest(KEY, 5) == [
        StoredTurn(numbered(2), 1, MEMORY),
        StoredTurn(TurnKey(1, NO_TURN), 1, MEMORY),
    ]
    assert stored.memory.statistics(KEY).turns == stored.memory.weigh(KEY).turns == 2
    assert stored.memory.pop_item(KEY) == MEMORY.items[0]
    assert stored.log.read(KEY, numbered(2)) == deltas(1, 4)


def test_memory_reads_nothing_of_a_log_in_dynamodb(in_dynamodb: Any, client: Any) -> None:
    """Not even in order to pass over it: what a query looks at is what it costs."""
    for number in (1, 2, 3):
        write(in_dynamodb.log, number, chunks=2)
        in_dynamodb.memory.finish(KEY, numbered(number), 1, MEMORY)
    looked_at: list[int] = []
    count = lambda parsed, **_: looked_at.append(parsed["ScannedCount"])  # noqa: E731
    client.meta.events.register("after-call.dynamodb.Query", count)

    in_dynamodb.memory.read_newest(KEY, None)
    in_dynamodb.memory.weigh(KEY)
    in_dynamodb.memory.statistics(KEY)
    in_dynamodb.memory.forget_before(KEY, 3)

    client.meta.events.unregister("after-call.dynamodb.Query", count)
    assert looked_at == [3, 3, 3, 2, 0]


@pytest.mark.parametrize("number", [1, 9])
def test_a_log_can_be_written_after_it_was_forgotten(stored: Any, number: int) -> None:
    """As a process does that died later than its session was deleted; the sweep finds it."""
    write(stored.log, number, chunks=2)
    stored.memory.forget(KEY)

    stored.log.append(KEY, numbered(number), "one", deltas(5, 1))

    assert stored.log.read(KEY, numbered(number)) == deltas(5, 1)
    assert list(stored.memory.conversations(None, 10).keys) == [KEY]
