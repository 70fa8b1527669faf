"""Chunks that cannot be read, in both stores: the log goes on behind them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from parley.events.chunks import FORMAT_VERSION
from parley.events.log import EventLog, PlaceTaken
from parley.memory.codec import pack
from parley.timing import KEPT_SECONDS
from parley_testing.stores.turn_keys import numbered
from parley_testing.streams.event_writing import deltas

SESSION = "01890000-0000-7000-8000-000000000001"
KEY = f"user_ada_conv_{SESSION}"
AT = "2026-03-01T12:00:00+00:00"
DAMAGES: dict[str, dict[str, Any]] = {
    "another version": {"version": FORMAT_VERSION + 1},
    "not compressed": {"payload": b"hello"},
    "cut short": {"payload": pack([["message.delta", AT, {}]] * 3)[:-3]},
    "empty": {"payload": b""},
    "no list": {"payload": pack({"events": []})},
    "fewer than were written": {"payload": pack([["message.delta", AT, {}]] * 2)},
    "no events": {"payload": pack([1, 2, 3])},
    "an unknown event": {"payload": pack([["message.sung", AT, {}]] * 3)},
    "no moment": {"payload": pack([["message.delta", "noon", {}]] * 3)},
    "no object": {"payload": pack([["message.delta", AT, "text"]] * 3)},
}


def write(log: EventLog) -> None:
    for first, size in ((1, 2), (3, 3), (6, 1)):
        log.append(KEY, numbered(1), "one", deltas(first, size))


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_one_event_stands_for_what_is_lost(
    stored: Any, caplog: pytest.LogCaptureFixture, damage: dict[str, Any]
) -> None:
    write(stored.log)
    stored.change((KEY, 1, 3), **damage)

    first, second, lost, last = stored.log.read(KEY, numbered(1))

    assert [first, second] == deltas(1, 2)
    assert (lost.sequence, lost.type, lost.data) == (5, "events.lost", {"count": 3})
    written_at = stored.column("expires_at")[KEY, 1, 3] - KEPT_SECONDS
    assert lost.at == datetime.fromtimestamp(written_at, UTC)
    assert [last] == deltas(6, 1)
    (record,) = errors(caplog)
    told = {"session_id": SESSION, "number": 1, "first": 3, "count": 3}
    assert {name: vars(record)[name] for name in told} == told


@pytest.mark.parametrize(("after", "count"), [(2, 3), (3, 2), (4, 1)])
def test_a_reader_is_told_how_many_it_missed(stored: Any, after: int, count: int) -> None:
    write(stored.log)
    stored.change((KEY, 1, 3), version=FORMAT_VERSION + 1)

    lost, last = stored.log.read(KEY, numbered(1), after=after)

    assert (lost.sequence, lost.data) == (5, {"count": count})
    assert [last] == deltas(6, 1)


def test_a_reader_comes_past_it_and_asks_for_it_once(
    stored: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write(stored.log)
    stored.change((KEY, 1, 6), payload=b"hello")

    (lost,) = stored.log.read(KEY, numbered(1), after=5)

    assert stored.log.read(KEY, numbered(1), after=lost.sequence) == []
    assert len(errors(caplog)) == 1


def test_a_writer_goes_on_behind_it(stored: Any) -> None:
    write(stored.log)
    stored.change((KEY, 1, 6), version=FORMAT_VERSION + 1)
    with pytest.raises(PlaceTaken):
        stored.log.append(KEY, numbered(1), "other", deltas(6, 1, by="other"))

    last = stored.log.read(KEY, numbered(1), after=5)[-1].sequence
    stored.log.append(KEY, numbered(1), "other", deltas(last + 1, 1))

    assert [event.sequence for event in stored.log.read(KEY, numbered(1))] == [1, 2, 3, 4, 5, 6, 7]
