"""Several writers and readers of one log, in both stores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from parley.events.log import EventLog, PlaceTaken, TurnEvent
from parley_testing.own_path import own_path
from parley_testing.run.at_length import times
from parley_testing.stores.turn_keys import numbered
from parley_testing.streams.event_writing import deltas, write_in_the_way
from parley_testing.waiting import HANG_SECONDS

KEY = "user_ada_conv_1"
CHUNKS = times(enough=8, full=20)
PLACES = times(enough=10, full=30)


@pytest.fixture
def in_dynamodb(behind_wire: Any) -> Any:
    return behind_wire


def one_chain(events: list[TurnEvent], writers: int) -> bool:
    """Whether the events are without a gap, and of each writer all are there in their order."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    by_writer: dict[str, list[int]] = defaultdict(list)
    for event in events:
        by_writer[event.data["by"]].append(event.data["n"])
    wrote = [n for n in range(CHUNKS) for _ in range(n % 3 + 1)]
    return list(by_writer.values()) == [wrote] * writers


def test_of_two_at_one_place_exactly_one_wins(stored: Any) -> None:
    def append(log: EventLog, writer: str, first: int) -> str | None:
        barrier.wait(HANG_SECONDS)
        try:
            log.append(KEY, numbered(1), writer, deltas(first, 1, by=writer))
        except PlaceTaken:
            return None
        return writer

    barrier = Barrier(2)
    with stored.another() as one, stored.another() as other, ThreadPoolExecutor(2) as threads:
        for first in range(1, PLACES + 1):
            won = [
                winner
                for winner in threads.map(append, (one, other), ("one", "other"), (first, first))
                if winner
            ]
            assert len(won) == 1
            assert stored.log.read(KEY, numbered(1), after=first - 1)[0].data["by"] == won[0]
    assert len(stored.log.read(KEY, numbered(1))) == PLACES


def test_threads_make_one_chain(stored: Any) -> None:
    def write(writer: str) -> int:
        barrier.wait(HANG_SECONDS)
        return write_in_the_way(stored.log, KEY, 1, writer, CHUNKS)

    barrier = Barrier(4)
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(write, "abcd"))

    assert sum(taken) > 0
    assert one_chain(stored.log.read(KEY, numbered(1)), 4)


def test_processes_make_one_chain(stored: Any) -> None:
    command = [
        sys.executable,
        "-m",
        "parley_testing.streams.event_writing",
        stored.kind,
        stored.where,
        KEY,
    ]
    writers = [
        subprocess.Popen(
            [*command, name, str(CHUNKS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | own_path(),
        )
        for name in "abc"
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        taken = [int(writer.communicate(timeout=HANG_SECONDS)[0]) for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()

    assert sum(taken) > 0
    assert one_chain(stored.log.read(KEY, numbered(1)), 3)


def test_readers_see_each_event_once_and_in_order_while_it_is_written(stored: Any) -> None:
    def follow(reader: int) -> list[int]:
        barrier.wait(HANG_SECONDS)
        seen: list[int] = []
        while not seen or seen[-1] < total:
            # Every other one reads on from the middle of chunks as well.
            events = stored.log.read(KEY, numbered(1), after=seen[-1] if seen else 0)
            seen += [event.sequence for event in events[: 2 if reader % 2 else None]]
        return seen

    def write() -> None:
        barrier.wait(HANG_SECONDS)
        write_in_the_way(stored.log, KEY, 1, "one", CHUNKS)

    total = sum(n % 3 + 1 for n in range(CHUNKS))
    barrier = Barrier(7)
    with ThreadPoolExecutor(7) as threads:
        writing = threads.submit(write)
        followed = list(threads.map(follow, range(6)))
        writing.result()

    assert followed == [list(range(1, total + 1))] * 6


@pytest.mark.parametrize("meanwhile", ["nothing", "another writer"])
def test_dynamodb_loses_an_answer(in_dynamodb: Any, wire: Any, meanwhile: str) -> None:
    wire.lose_answer("PutItem", always=False)

    in_dynamodb.log.append(KEY, numbered(1), "one", deltas(1, 2))

    assert wire.sent == ["PutItem", "PutItem"]
    if meanwhile == "another writer":
        in_dynamodb.log.append(KEY, numbered(1), "other", deltas(3, 1))
        in_dynamodb.log.append(KEY, numbered(1), "one", deltas(1, 2))
    assert in_dynamodb.log.read(KEY, numbered(1))[:2] == deltas(1, 2)
