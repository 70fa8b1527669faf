"""Two processes on one database and one memory, for all schedules of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley import retry, threads
from parley.events import reader, writer
from parley.observability import logger
from parley.runner import execute, summaries
from parley.threads import OwnThreads
from parley.turns import cancel, effects, first_read, send, wakeup
from parley_testing.schedules.world import KnownEventWriter, World, build


@pytest.fixture
def new_world(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], World]]:
    """Makes worlds: each has a user of its own; the processes are the same."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(retry, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(send, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(send, "_LONGEST_PAUSE", 0.02)
    # Many metrics, all printed.
    monkeypatch.setattr(execute, "turn_ended", lambda **_: None)
    monkeypatch.setattr(summaries, "summary_ended", lambda **_: None)
    monkeypatch.setattr(cancel, "measure", lambda *_, **__: None)
    monkeypatch.setattr(first_read, "memory_read", lambda _: None)
    monkeypatch.setattr(wakeup, "measure", lambda *_, **__: None)
    # The model waits for what is gathered when it takes breath; a quiet log is soon asked about.
    monkeypatch.setattr(writer, "GATHER_SECONDS", 0.03)
    monkeypatch.setattr(reader, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(reader, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(reader, "_FIRST_PAUSE", 0.005)
    monkeypatch.setattr(reader, "_LONGEST_PAUSE", 0.1)
    for module in (execute, cancel):
        monkeypatch.setattr(module, "EventWriter", KnownEventWriter)
    memory = tmp_path / "memory.db"
    main, other, readers, sql = build(database_url, memory)
    # A process that dies leaves tasks whose end nobody asks for.
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)
    level = logger().log_level
    logger().setLevel(logging.CRITICAL)  # attempts that are broken on purpose warn of it
    # The two processes of a test are one for the system: neither may wait for the other's tools.
    monkeypatch.setattr(effects, "_BODIES", OwnThreads("bodies", at_once=4))
    yield lambda: World(main, other, readers, sql, memory)
    logger().setLevel(level)
    main.close()
    other.close()
    readers.close()
    sql.close()
