"""Two users with a conversation and a task each, with the policies in place or taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.repository.row_security import GUARDS
from parley_testing.models.scripted import Script, call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[[Script], Workbench]


@pytest.fixture(params=[True, False], ids=["guarded", "policies taken out"])
def guarded(request: pytest.FixtureRequest, sql: psycopg.Connection) -> bool:
    """Whether the policies are in place: what a test says of them must not hold without."""
    if not request.param:
        for table in (*GUARDS, "tasks"):
            disable = SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY")
            sql.execute(disable.format(Identifier(table)))
    return bool(request.param)


@pytest.fixture
def new_bench(database: Database, tmp_path: Path) -> Iterator[NewBench]:
    store = SqliteStore(tmp_path / "workbench.db")
    yield lambda script: Workbench(database, store, script)
    store.close()


@pytest.fixture
async def sessions(new_bench: NewBench) -> dict[str, UUID]:
    """Each user's session, in which they had a task added and got a reply."""
    made: dict[str, UUID] = {}
    for user in ("alice", "bob"):
        bench = new_bench(in_order(call("add_task", title=f"{user}'s"), say(f"hello {user}")))
        made[user] = bench.new_session(user)
        await bench.send(made[user], f"I am {user}", user=user)
    return made
