"""What a log asks of its store, and what it makes of a store that fails."""

from __future__ import annotations

import random
import sqlite3
import string
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from parley.errors import StoreMisconfigured, StoreUnavailable
from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import EventLog, TurnEvent
from parley.events.sqlite import SqliteEventLog
from parley_testing.account.moto import memory_table
from parley_testing.stores.turn_keys import numbered
from parley_testing.streams.event_writing import BEGAN, deltas

KEY = "user_ada_conv_1"
CALLS: dict[str, Callable[[EventLog], object]] = {
    "append": lambda log: log.append(KEY, numbered(1), "one", deltas(1, 1)),
    "read": lambda log: log.read(KEY, numbered(1)),
    "read after": lambda log: log.read(KEY, numbered(1), after=1),
}


@pytest.fixture
def in_dynamodb(behind_wire: Any) -> Any:
    return behind_wire


def write(log: EventLog, chunks: int) -> None:
    for n in range(chunks):
        log.append(KEY, numbered(1), "one", deltas(3 * n + 1, 3))


@pytest.fixture(scope="module")
def long(over_wire: Any) -> EventLog:
    """A log of 30 chunks with three events each in DynamoDB, which all tests only read."""
    log = DynamoDbEventLog(over_wire, memory_table(over_wire))
    write(log, 30)
    return log


@pytest.fixture
def written(long: EventLog, wire: Any) -> EventLog:
    """The long log, and nothing sent yet."""
    wire.sent.clear()
    return long


@pytest.fixture
def consistent(over_wire: Any) -> Any:
    """Whether each query asked for what was written a moment ago."""
    asked: list[bool] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(params["ConsistentRead"])

    over_wire.meta.events.register("before-parameter-build.dynamodb.Query", note)
    yield asked
    over_wire.meta.events.unregister("before-parameter-build.dynamodb.Query", note)


def test_an_append_is_one_call(in_dynamodb: Any, wire: Any) -> None:
    write(in_dynamodb.log, 3)

    assert wire.sent == ["PutItem"] * 3


@pytest.mark.parametrize("after", [0, 90, 89, 88, 87, 84, 81, 80])
def test_the_whole_log_and_its_end_are_read_in_one_call(
    written: EventLog, wire: Any, consistent: list[bool], after: int
) -> None:
    assert len(written.read(KEY, numbered(1), after=after)) == 90 - after

    assert wire.sent == ["Query"]
    assert consistent == [True]


@pytest.mark.parametrize("after", [1, 2, 3, 40])
def test_reading_on_from_far_back_finds_the_chunk_first(
    written: EventLog, wire: Any, consistent: list[bool], after: int
) -> None:
    assert len(written.read(KEY, numbered(1), after=after)) == 90 - after

    assert wire.sent == ["Query"] * 3
    assert consistent == [True] * 3


def test_a_log_that_is_not_there_is_one_call(in_dynamodb: Any, wire: Any) -> None:
    assert (
        in_dynamodb.log.read(KEY, numbered(1))
        == in_dynamodb.log.read(KEY, numbered(2), after=3)
        == []
    )

    assert wire.sent == ["Query"] * 2


def test_a_limited_read_asks_for_no_more_chunks(written: EventLog, over_wire: Any) -> None:
    looked_at: list[int] = []
    count = lambda parsed, **_: looked_at.append(parsed["ScannedCount"])  # noqa: E731
    over_wire.meta.events.register("after-call.dynamodb.Query", count)

    assert len(written.read(KEY, numbered(1), limit=2)) == 6

    over_wire.meta.events.unregister("after-call.dynamodb.Query", count)
    assert looked_at == [2]


def test_what_is_too_large_or_misnumbered_is_refused_before_anything_is_sent(
    in_dynamodb: Any, wire: Any
) -> None:
    noise = "".join(random.Random(1).choices(string.printable, k=600_000))
    for events in ([TurnEvent(1, "message.delta", BEGAN, {"text": noise})], []):
        with pytest.raises(ValueError, match="events: "):
            in_dynamodb.log.append(KEY, numbered(1), "one", events)

    assert wire.sent == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("fault", ["throttled", "down", "unreachable"])
def test_dynamodb_is_unavailable_for_as_long_as_it_is(
    in_dynamodb: Any, wire: Any, call: Callable[[EventLog], object], fault: str
) -> None:
    operation = "PutItem" if call is CALLS["append"] else "Query"
    {
        "throttled": lambda: wire.refuse(operation, "ThrottlingException"),
        "down": lambda: wire.refuse(operation, "InternalServerError", 500),
        "unreachable": lambda: wire.drop(operation),
    }[fault]()

    with pytest.raises(StoreUnavailable):
        call(in_dynamodb.log)

    wire.restore()
    call(in_dynamodb.log)


def test_what_somebody_must_mend_is_told_as_that(in_dynamodb: Any, wire: Any) -> None:
    for operation, call in (("PutItem", CALLS["append"]), ("Query", CALLS["read"])):
        wire.refuse(operation, "AccessDeniedException")
        with pytest.raises(StoreMisconfigured):
            call(in_dynamodb.log)


def test_an_append_whose_answer_stays_lost_may_be_repeated(in_dynamodb: Any, wire: Any) -> None:
    wire.lose_answer("PutItem")
    with pytest.raises(StoreUnavailable):
        in_dynamodb.log.append(KEY, numbered(1), "one", deltas(1, 2))
    wire.restore()

    in_dynamodb.log.append(KEY, numbered(1), "one", deltas(1, 2))

    assert in_dynamodb.log.read(KEY, numbered(1)) == deltas(1, 2)


def test_sqlite_takes_one_statement_in_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_trace_callback(lambda text: statements.append(text.split()[0]))
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    with closing(SqliteEventLog(tmp_path / "memory.db")) as log:
        log.read(KEY, numbered(1))
        statements.clear()
        for call in (
            lambda: log.append(KEY, numbered(1), "one", deltas(1, 3)),
            lambda: log.append(KEY, numbered(1), "one", deltas(4, 3)),
            lambda: log.read(KEY, numbered(1), after=2),
        ):
            call()
            statements.append("|")

    assert " ".join(statements) == ("BEGIN DELETE INSERT COMMIT | BEGIN INSERT COMMIT | SELECT |")


@pytest.mark.parametrize("name", ["_READ", "_APPEND", "_EXPIRE"])
def test_sqlite_finds_chunks_by_an_index(in_sqlite: Any, name: str) -> None:
    from parley.events import sqlite

    write(in_sqlite.log, 1)
    statement: str = getattr(sqlite, name)
    named = dict.fromkeys(("conversation", "number", "turn_id", "after", "now", "limit"), 1)
    values = named if ":after" in statement else [1] * statement.count("?")
    with closing(sqlite3.connect(in_sqlite.where)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()

    assert not [step for *_, step in plan if step.startswith("SCAN")]


def test_making_a_log_touches_no_file(tmp_path: Path) -> None:
    SqliteEventLog(tmp_path / "memory.db")

    assert list(tmp_path.iterdir()) == []


def test_a_locked_file_is_unavailable_for_writing_and_still_read(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with closing(SqliteEventLog(path, wait_seconds=0.05)) as log:
        log.append(KEY, numbered(1), "one", deltas(1, 1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable) as unavailable:
                log.append(KEY, numbered(1), "one", deltas(2, 1))
            assert unavailable.value.reason == "SQLITE_BUSY"
            assert log.read(KEY, numbered(1)) == deltas(1, 1)
            other.execute("ROLLBACK")

        log.append(KEY, numbered(1), "one", deltas(2, 1))
        log.close()
        assert log.read(KEY, numbered(1)) == deltas(1, 2)
