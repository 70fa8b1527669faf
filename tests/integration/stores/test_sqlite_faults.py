"""The SQLite file cannot be written: what is answered, and what is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from parley.memory.sqlite import SqliteStore
from parley_testing.api.handlers import Answer
from parley_testing.api.problems import problem
from parley_testing.postgres.postgres_place import OPERATIONS, Conversation, Operation, Place
from parley_testing.waiting import HANG_SECONDS

Look = Callable[[Conversation, Operation, Answer], None]

WRITES = {"record": "record", "finish": "complete", "clear": "clear"}
NOBODY = 65534

LOCKING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """The SQLite file, in a directory that everybody may enter."""
    directory = Path(tempfile.mkdtemp(prefix="parley-test-"))
    directory.chmod(0o755)
    yield directory / "memory.db"
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def place(new_place: Any) -> Iterator[Place]:
    """A place that does not wait long for a lock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore.__init__, "__kwdefaults__", {"wait_seconds": 0.02})
        with new_place() as place:
            yield place


@contextmanager
def locked(memory: Path) -> Iterator[None]:
    """Another process is in the middle of a write."""
    command = [sys.executable, "-c", LOCKING, str(memory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
        other.communicate("go\n", timeout=HANG_SECONDS)


@contextmanager
def read_only(memory: Path) -> Iterator[None]:
    """Nobody may write to the file any more; root may always, so it is not root that tries."""
    files = list(memory.parent.glob("memory.db*"))
    user = os.geteuid()
    for file in files:
        file.chmod(0o444)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        for file in files:
            file.chmod(0o644)


@pytest.mark.parametrize("name", WRITES)
def test_a_file_that_another_process_keeps_locked(
    talk: Conversation, memory: Path, as_undisturbed: Look, name: str
) -> None:
    operation = OPERATIONS[WRITES[name]]

    with locked(memory):
        during = talk.request(operation)

    problem(during, 503, "store_unavailable")
    assert int(during.headers["retry-after"]) > 0
    after = talk.request(operation)
    assert after.status == operation.status, after
    as_undisturbed(talk, operation, after)


@pytest.mark.parametrize("name", WRITES)
def test_a_file_that_was_read_only_when_it_was_opened(
    talk: Conversation,
    memory: Path,
    as_undisturbed: Look,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    operation = OPERATIONS[WRITES[name]]
    for function in ("sessions", "messages"):
        talk.place.api.function(function).parts.store.close()

    with read_only(memory):
        during = talk.request(operation)

    problem(during, 503, "store_unavailable")
    assert int(during.headers["retry-after"]) > 0
    reasons = [str(vars(record).get("reason", "")) for record in caplog.records]
    assert any("SQLITE_READONLY" in reason for reason in reasons), reasons
    after = talk.request(operation)
    assert after.status == operation.status, after
    as_undisturbed(talk, operation, after)


def test_a_locked_file_is_still_read(talk: Conversation, memory: Path) -> None:
    with locked(memory):
        assert talk.get("/memory").json["turns"] == 1


def test_a_session_is_deleted_though_its_memory_cannot_be_removed(
    talk: Conversation, memory: Path, as_undisturbed: Look
) -> None:
    with locked(memory):
        answer = talk.request(OPERATIONS["delete"])

    assert answer.status == 204
    as_undisturbed(talk, OPERATIONS["delete"], answer)
