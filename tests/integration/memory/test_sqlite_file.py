"""What only SQLite does: one file, several processes, and the ways a file fails."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from parley.errors import Fenced, StoreUnavailable
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory

KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}])

APPENDING = """
import sys
from pathlib import Path
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory

store = SqliteStore(Path(sys.argv[1]))
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
    running: list[Any] = [subprocess.Popen([*command, str(name)], **pipes) for name in range(4)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate(timeout=60)

    assert [process.returncode for process in running] == [0] * 4
    with closing(SqliteStore(sqlite_path)) as store:
        turns = store.read_newest("sdk_shared", None)
    assert [turn.number for turn in turns] == list(range(100, 0, -1))
    items = [item for turn in reversed(turns) if turn.memory for item in turn.memory.items]
    for name in range(4):
        assert [item["n"] for item in items if item["by"] == str(name)] == list(range(25))


def test_a_new_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    def open_and_append(path: Path) -> int:
        with closing(SqliteStore(path)) as store:
            barrier.wait(10)
            return store.append(KEY, MEMORY)

    barrier = Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        # Many times over: SQLite refuses only those that come within the same few microseconds.
        for attempt in range(25):
            given = threads.map(open_and_append, [tmp_path / f"{attempt}.db"] * 8)
            assert sorted(given) == list(range(1, 9))


def test_another_store_on_the_same_file_is_fenced(sqlite_path: Path) -> None:
    with closing(SqliteStore(sqlite_path)) as one, closing(SqliteStore(sqlite_path)) as other:
        one.record(KEY, 1, 1, "0", {})
        other.claim(KEY, 1, 2)

        with pytest.raises(Fenced):
            one.finish(KEY, 1, 1, MEMORY)


def test_what_was_written_is_there_after_closing(sqlite_path: Path) -> None:
    store = SqliteStore(sqlite_path)
    store.finish(KEY, 1, 1, MEMORY)
    store.close()
    store.close()

    assert store.read(KEY, [1])[0].memory == MEMORY
    store.close()


def test_the_file_is_in_write_ahead_mode(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    sqlite_store.append(KEY, MEMORY)

    with closing(sqlite3.connect(sqlite_path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_stays_locked_is_unavailable_for_writing(sqlite_path: Path) -> None:
    store = SqliteStore(sqlite_path, wait_seconds=0.05)
    store.finish(KEY, 1, 1, MEMORY)
    with closing(store), closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        for write in (
            lambda: store.claim(KEY, 2, 2),
            lambda: store.record(KEY, 2, 1, "0", {}),
            lambda: store.finish(KEY, 2, 1, MEMORY),
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
    with closing(SqliteStore(sqlite_path)) as store:
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

        other.communicate(timeout=30)


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


def test_a_mistake_in_the_statements_is_not_an_outage(
    sqlite_store: SqliteStore, sqlite_path: Path
) -> None:
    sqlite_store.append(KEY, MEMORY)
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.execute("DROP TABLE records")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        sqlite_store.forget(KEY)

    assert sqlite_store.read(KEY, [1])[0].memory == MEMORY
