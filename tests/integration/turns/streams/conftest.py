"""The streaming app, served over a real database and event log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.events.sqlite import SqliteEventLog
from parley.repository.fair_use import UNLIMITED, FairUse
from parley_testing.models.scripted import Script, in_order
from parley_testing.models.steps import Gate
from parley_testing.streams.streaming import CountedLog, Streams
from parley_testing.workbench import Workbench

NewStreams = Callable[..., Awaitable[Streams]]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CountedLog]:
    log = SqliteEventLog(tmp_path / "memory.db")
    yield CountedLog(log)
    log.close()


@pytest.fixture
async def new_streams(
    new_bench: Callable[..., Workbench], log: CountedLog
) -> AsyncIterator[NewStreams]:
    """Serves the app with a model of the test's; each is a process of its own as far as it goes."""
    async with AsyncExitStack() as stack:

        async def make(
            script: Script | None = None, *, fair_use: FairUse = UNLIMITED, **fields: Any
        ) -> Streams:
            bench = new_bench(script or in_order(), events=log, fair_use=fair_use)
            return await stack.enter_async_context(Streams(bench, log, **fields))

        yield make


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Until it is open, a model that has come to it says no more."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def released(sql: psycopg.Connection) -> Callable[[UUID], bool]:
    """Tells whether a session's turn was let go of, for the next attempt to have."""

    def released(session_id: UUID) -> bool:
        query = "SELECT lease_expires_at = '-infinity' FROM turns WHERE session_id = %s"
        row = sql.execute(query, [session_id]).fetchone()
        return row is not None and bool(row[0])

    return released
