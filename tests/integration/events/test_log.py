"""What both event logs do: a chain of chunks, read from any place."""

from __future__ import annotations

import random
import string
from datetime import UTC, datetime
from typing import Any

import pytest

from parley.events.log import EVENT_TYPES, EventLog, PlaceTaken, TurnEvent
from parley_testing.stores.turn_keys import numbered
from parley_testing.streams.event_writing import BEGAN, deltas

KEY = "user_ada_conv_01890000-0000-7000-8000-000000000001"
SIZES = [1, 3, 1, 5, 2, 4, 1]
LAST = sum(SIZES)


def write(log: EventLog, sizes: list[int], *, number: int = 1, key: str = KEY) -> list[TurnEvent]:
    """Append chunks of these sizes and give all their events."""
    events: list[TurnEvent] = []
    for size in sizes:
        chunk = deltas(len(events) + 1, size)
        log.append(key, numbered(number), "one", chunk)
        events += chunk
    return events


def test_a_log_that_is_not_there_is_empty(log: EventLog) -> None:
    assert log.read(KEY, numbered(1)) == []
    assert log.read(KEY, numbered(1), after=7) == []


def test_what_is_read_is_what_was_written(log: EventLog) -> None:
    data: dict[str, Any] = {
        "text": "Ünï 𝄞 'quoted' \"and\"\n\tmore\x7f",
        "none": None,
        "nested": {"list": [1, 2.5, True, {"deep": []}], "": ""},
    }
    events = [
        TurnEvent(n, kind, BEGAN.replace(microsecond=n), data)
        for n, kind in enumerate(EVENT_TYPES, start=1)
    ]

    log.append(KEY, numbered(1), "one", events)

    assert log.read(KEY, numbered(1)) == events
    assert all(event.at.tzinfo is not None for event in log.read(KEY, numbered(1)))


@pytest.mark.parametrize("after", range(LAST + 2))
def test_reading_goes_on_after_any_event(log: EventLog, after: int) -> None:
    events = write(log, SIZES)

    assert log.read(KEY, numbered(1), after=after) == events[after:]


@pytest.mark.parametrize("after", range(LAST + 1))
def test_reading_in_pages_gives_each_event_once(log: EventLog, after: int) -> None:
    events = write(log, SIZES)

    for limit in (1, 2, 100):
        found: list[TurnEvent] = []
        while page := log.read(
            KEY, numbered(1), after=found[-1].sequence if found else after, limit=limit
        ):
            found += page
        assert found == events[after:]


def test_a_limit_counts_chunks(log: EventLog) -> None:
    write(log, SIZES)

    assert [len(log.read(KEY, numbered(1), limit=limit)) for limit in (0, 1, 2, 3, 7, 8)] == [
        *(0, 1, 4, 5, LAST, LAST)
    ]
    assert [event.sequence for event in log.read(KEY, numbered(1), after=7, limit=2)] == [
        8,
        9,
        10,
        11,
        12,
    ]


@pytest.mark.parametrize("after", [-1, 10**10, 10**30])
def test_a_place_out_of_any_logs_reach(log: EventLog, after: int) -> None:
    events = write(log, [1, 2])

    assert log.read(KEY, numbered(1), after=after) == (events if after < 0 else [])


def test_a_long_log_is_read_whole(log: EventLog) -> None:
    rest = iter(random.Random(1).choices(string.printable, k=1_500_000))
    events = [
        TurnEvent(n, "message.delta", BEGAN, {"text": "".join(next(rest) for _ in range(150_000))})
        for n in range(1, 11)
    ]
    for event in events:
        log.append(KEY, numbered(1), "one", [event])

    assert log.read(KEY, numbered(1)) == events
    assert log.read(KEY, numbered(1), after=1) == events[1:]
    assert log.read(KEY, numbered(1), after=8) == events[8:]


def test_logs_keep_apart(log: EventLog) -> None:
    places = [(KEY, 1), (KEY, 2), (KEY, 10), (KEY + "1", 1), ("user_bob_conv_1", 1)]
    written = {place: write(log, [2, place[1]], key=place[0], number=place[1]) for place in places}

    for (key, number), events in written.items():
        assert log.read(key, numbered(number)) == events
        assert log.read(key, numbered(number), after=1) == events[1:]
    assert log.read(KEY, numbered(3)) == log.read(KEY, numbered(9), after=2) == []


def test_another_writers_chunk_keeps_its_place(log: EventLog) -> None:
    events = write(log, [2, 2])

    for first, size in ((1, 2), (3, 1), (3, 4)):
        with pytest.raises(PlaceTaken):
            log.append(KEY, numbered(1), "other", deltas(first, size, by="other"))
    with pytest.raises(PlaceTaken):
        log.append(KEY, numbered(1), "other", deltas(3, 2))
    assert log.read(KEY, numbered(1)) == events

    log.append(KEY, numbered(1), "other", deltas(5, 1))
    assert len(log.read(KEY, numbered(1))) == 5


def test_the_same_chunk_again_is_harmless(log: EventLog) -> None:
    events = write(log, [2, 2])

    log.append(KEY, numbered(1), "one", deltas(1, 2))
    log.append(KEY, numbered(1), "one", deltas(3, 2))

    assert log.read(KEY, numbered(1)) == events


def test_a_chunk_that_grew_since_its_answer_was_lost_is_not_taken_for_written(
    log: EventLog,
) -> None:
    write(log, [2])

    for changed in (deltas(1, 3), deltas(1, 1), deltas(1, 2, more="text")):
        with pytest.raises(PlaceTaken):
            log.append(KEY, numbered(1), "one", changed)


@pytest.mark.parametrize(
    "events",
    [[], deltas(0, 2), deltas(1, 1) + deltas(3, 1), deltas(1, 1) * 2, deltas(1, 2)[::-1]],
    ids=["none", "from zero", "gap", "twice", "backwards"],
)
def test_misnumbered_events_are_refused(log: EventLog, events: list[TurnEvent]) -> None:
    with pytest.raises(ValueError, match="events: "):
        log.append(KEY, numbered(1), "one", events)

    assert log.read(KEY, numbered(1)) == []


def test_a_chunk_that_is_too_large_is_refused(log: EventLog) -> None:
    noise = "".join(random.Random(1).choices(string.printable, k=600_000))
    event = TurnEvent(1, "message.delta", datetime.now(UTC), {"text": noise})

    with pytest.raises(ValueError, match="at most 350000"):
        log.append(KEY, numbered(1), "one", [event])

    assert log.read(KEY, numbered(1)) == []
