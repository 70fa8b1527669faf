"""Two processes on one database and one memory, for all schedules of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from parley.observability import logger
from parley.repository import patience
from parley.turns import attempt, cancel, carry_out, first_read, send, threads
from parley_local.postgres import EmbeddedPostgres
from parley_testing.databases import copy_database
from parley_testing.schedules.world import World, build


@pytest.fixture
def new_world(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], World]]:
    """Makes worlds: each has a user of its own; the processes are the same."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(send, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(send, "_LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(carry_out, "PRUNE_EVERY", 3)
    # Many metrics, all printed.
    monkeypatch.setattr(carry_out, "turn_ended", lambda **_: None)
    monkeypatch.setattr(cancel, "measure", lambda *_, **__: None)
    monkeypatch.setattr(first_read, "memory_read", lambda _: None)
    url = copy_database(postgres, "parley_template", "parley_schedules")
    memory = tmp_path / "memory.db"
    main, other, sql = build(url, memory)
    level = logger().log_level
    logger().setLevel(logging.CRITICAL)  # attempts that are broken on purpose warn of it
    # The two processes of a test are one for the system: neither may wait for the other's tools.
    with ThreadPoolExecutor(4) as bodies:
        monkeypatch.setattr(attempt, "_BODIES", bodies)
        yield lambda: World(main, other, sql, memory)
    logger().setLevel(level)
    main.close()
    other.close()
    sql.close()
