"""What only SQLite does: one file, several processes, and the ways a file fails."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from parley.errors import Fenced, StoreMisconfigured, StoreUnavailable
from parley.events.sqlite import SqliteEventLog
from parley.memory.codec import pack_memory
from parley.memory.sqlite import SqliteStore
from parley.memory.store import ClaimedTurn, TurnMemory
from parley_testing.stores.turn_keys import numbered
from parley_testing.waiting import HANG_SECONDS

KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}])

APPENDING = """
import sys
from pathlib import Path
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory

store = SqliteStore(Path(sys.argv[1]), wait_seconds=float(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(25):
    store.append("sdk_shared", TurnMemory([{"by": sys.argv[2], "n": n}]))
store.close()
"""

# A limit on the size of files stands in for the full disk.
FILLING = """
import resource, sys
from pathlib import Path
from parley.errors import StoreUnavailable
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory

store = SqliteStore(Path(sys.argv[1]))
store.append("sdk_notes", TurnMemory([]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
try:
    store.append("sdk_notes", TurnMemory([{"text": str(list(range(200_000)))}]))
except StoreUnavailable as error:
    print(error.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(store.append("sdk_notes", TurnMemory([])))
"""


def test_making_a_store_touches_no_file(sqlite_path: Path) -> None:
    SqliteStore(sqlite_path)

    assert not sqlite_path.exists()


def test_processes_that_open_a_new_file_at_once_share_it(sqlite_path: Path) -> None:
    command = [sys.executable, "-c", APPENDING, str(sqlite_path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running: list[Any] = [
        subprocess.Popen([*command, str(name), str(HANG_SECONDS)], **pipes) for name in range(4)
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate(timeout=HANG_SECONDS)

    assert [process.returncode for process in running] == [0] * 4
    with closing(SqliteStore(sqlite_path)) as store:
        turns = store.read_newest("sdk_shared", None)
    assert [turn.number for turn in turns] == list(range(100, 0, -1))
    items = [item for turn in reversed(turns) if turn.memory for item in turn.memory.items]
    for name in range(4):
        assert [item["n"] for item in items if item["by"] == str(name)] == list(range(25))


def test_a_new_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    def open_and_append(path: Path) -> int:
        with closing(SqliteStore(path, wait_seconds=HANG_SECONDS)) as store:
            barrier.wait(HANG_SECONDS)
            return store.append(KEY, MEMORY)

    barrier = Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        # Many times over: SQLite refuses only those that come within the same few microseconds.
        for attempt in range(25):
            given = threads.map(open_and_append, [tmp_path / f"{attempt}.db"] * 8)
            assert sorted(given) == list(range(1, 9))


def test_another_store_on_the_same_file_is_fenced(sqlite_path: Path) -> None:
    with closing(SqliteStore(sqlite_path)) as one, closing(SqliteStore(sqlite_path)) as other:
        one.record(KEY, numbered(1), 1, "0", {})
        other.claim(KEY, numbered(1), 2)

        with pytest.raises(Fenced):
            one.finish(KEY, numbered(1), 1, MEMORY)


def test_what_was_written_is_there_after_closing(sqlite_path: Path) -> None:
    store = SqliteStore(sqlite_path)
    store.finish(KEY, numbered(1), 1, MEMORY)
    store.close()
    store.close()

    assert store.read(KEY, [numbered(1)])[0].memory == MEMORY
    store.close()


def test_the_file_is_in_write_ahead_mode(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    sqlite_store.append(KEY, MEMORY)

    with closing(sqlite3.connect(sqlite_path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_stays_locked_is_unavailable_for_writing(sqlite_path: Path) -> None:
    store = SqliteStore(sqlite_path, wait_seconds=0.05)
    store.finish(KEY, numbered(1), 1, MEMORY)
    with closing(store), closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        for write in (
            lambda: store.claim(KEY, numbered(2), 2),
            lambda: store.record(KEY, numbered(2), 1, "0", {}),
            lambda: store.finish(KEY, numbered(2), 1, MEMORY),
            lambda: store.append(KEY, MEMORY),
            lambda: store.pop_item(KEY),
            lambda: store.forget_before(KEY, 2),
            lambda: store.forget(KEY),
        ):
            with pytest.raises(StoreUnavailable) as unavailable:
                write()
            assert unavailable.value.reason == "SQLITE_BUSY"
        assert [turn.number for turn in store.read_newest(KEY, None)] == [1]

        other.execute("ROLLBACK")
        assert store.append(KEY, MEMORY) == 2


def test_a_file_that_another_writes_to_for_a_moment_is_waited_for(sqlite_path: Path) -> None:
    with closing(SqliteStore(sqlite_path, wait_seconds=HANG_SECONDS)) as store:
        store.append(KEY, MEMORY)
        code = (
            "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); time.sleep(0.3);"
            "c.execute('ROLLBACK')"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(sqlite_path)], stdout=subprocess.PIPE, text=True
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"

        assert store.append(KEY, MEMORY) == 2

        other.communicate(timeout=HANG_SECONDS)


def test_a_file_that_cannot_be_opened_is_unavailable_until_it_can(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "absent" / "memory.db")) as store:
        with pytest.raises(StoreUnavailable) as unavailable:
            store.read_newest(KEY, None)
        assert unavailable.value.reason.startswith("SQLITE_CANTOPEN")

        (tmp_path / "absent").mkdir()
        assert store.append(KEY, MEMORY) == 1


def test_a_full_disk_is_unavailable_until_there_is_room(sqlite_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLING, str(sqlite_path)], capture_output=True, text=True
    )

    assert done.stdout.split() == ["SQLITE_IOERR_WRITE", "2"], done.stderr


def test_a_table_that_is_gone_is_to_be_mended(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    sqlite_store.append(KEY, MEMORY)
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.execute("DROP TABLE records")

    with pytest.raises(StoreMisconfigured, match="SQLITE_ERROR"):
        sqlite_store.forget(KEY)

    assert sqlite_store.read_newest(KEY, None)[0].memory == MEMORY


def first_format(path: Path) -> None:
    """Make a file of the first format, in which nothing carried the id of its turn."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("""
            CREATE TABLE turns (conversation TEXT NOT NULL, number INTEGER NOT NULL,
              attempt INTEGER NOT NULL, state TEXT NOT NULL, updated_at REAL NOT NULL,
              version INTEGER, items INTEGER, bytes INTEGER, payload BLOB,
              PRIMARY KEY (conversation, number));
            CREATE TABLE records (conversation TEXT NOT NULL, number INTEGER NOT NULL,
              position TEXT NOT NULL, version INTEGER NOT NULL, payload BLOB NOT NULL,
              PRIMARY KEY (conversation, number, position));
            CREATE TABLE event_chunks (conversation TEXT NOT NULL, number INTEGER NOT NULL,
              first INTEGER NOT NULL, count INTEGER NOT NULL, writer TEXT NOT NULL,
              version INTEGER NOT NULL, expires_at INTEGER NOT NULL, payload BLOB NOT NULL,
              PRIMARY KEY (conversation, number, first));
            CREATE INDEX event_chunks_by_expiry ON event_chunks (expires_at);
        """)
        rows = ((KEY, 1, "done"), (KEY, 2, "open"), ("sdk_n", 1, "done"))
        for conversation, number, state in rows:
            payload = pack_memory(MEMORY) if state == "done" else None
            connection.execute(
                "INSERT INTO turns VALUES (?, ?, 1, ?, 1.0, 1, 1, 9, ?)",
                (conversation, number, state, payload),
            )
        connection.execute("INSERT INTO records VALUES (?, 2, '0', 1, x'00')", (KEY,))


def test_of_a_file_of_the_first_format_turns_are_absent_and_what_was_appended_stays(
    sqlite_path: Path,
) -> None:
    first_format(sqlite_path)

    with closing(SqliteStore(sqlite_path)) as store, closing(SqliteEventLog(sqlite_path)) as log:
        assert store.read(KEY, [numbered(1)]) == []
        assert store.claim(KEY, numbered(2), 2) == ClaimedTurn(None, {})
        store.finish(KEY, numbered(1), 1, MEMORY)
        assert store.read(KEY, [numbered(1)])[0].memory == MEMORY
        assert store.pop_item("sdk_n") == MEMORY.items[0]
        assert log.read(KEY, numbered(1)) == []


GARBAGE: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"this is no database, but long enough" * 100),
    "pages": lambda path: path.write_bytes(path.read_bytes()[:4096] + os.urandom(40_000)),
    "a later format": lambda path: closing_execute(path, "PRAGMA user_version = 99"),
}


def closing_execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_file_that_cannot_be_read_is_set_aside(
    sqlite_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqliteStore(sqlite_path)) as store:
        store.finish(KEY, numbered(1), 1, TurnMemory([{"content": "x" * 50_000}]))
    GARBAGE[kind](sqlite_path)
    damaged = sqlite_path.read_bytes()

    with closing(SqliteStore(sqlite_path)) as store:
        with suppress(StoreUnavailable):  # found out in the middle: the next call begins anew
            store.read_newest(KEY, None)
        assert store.read_newest(KEY, None) == []
        store.finish(KEY, numbered(2), 1, MEMORY)
        assert store.read(KEY, [numbered(2)])[0].memory == MEMORY

    (aside,) = sqlite_path.parent.glob("*.unreadable-*[0-9]")
    assert aside.read_bytes() == damaged
    (line,) = [record for record in caplog.records if "was set aside" in record.message]
    assert line.__dict__["set_aside_as"] == str(aside)


def test_processes_that_find_the_same_file_unreadable_set_it_aside_once(sqlite_path: Path) -> None:
    sqlite_path.write_bytes(b"this is no database, but long enough" * 100)
    stores = [SqliteStore(sqlite_path, wait_seconds=HANG_SECONDS) for _ in range(8)]

    # No threads: to look at a file and close it ends all locks that its process has on it.
    forking = multiprocessing.get_context("fork")
    at_once = forking.Barrier(8)

    def append(store: SqliteStore) -> None:
        at_once.wait()
        store.append("sdk_notes", MEMORY)

    children = [forking.Process(target=append, args=(store,)) for store in stores]
    for child in children:
        child.start()
    for child in children:
        child.join()

    assert [child.exitcode for child in children] == [0] * 8
    for store in stores:
        assert len(store.read_newest("sdk_notes", None)) == 8
        store.close()
    assert len(list(sqlite_path.parent.glob("*.unreadable-*"))) == 1
