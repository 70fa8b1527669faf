"""Two processes on a database and a memory, to break one rule of the protocol at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.turns import threads
from parley_local.postgres import EmbeddedPostgres
from parley_testing.databases import connect, copy_database
from parley_testing.scripted_model import Script, in_order
from parley_testing.workbench import Workbench

_numbers = count(1)
_NEVER_ASKED = in_order()


@pytest.fixture(params=["with the rule", "without it"])
def kept(request: pytest.FixtureRequest) -> bool:
    """Whether the rule is kept: each test runs both ways; the difference is its worth."""
    return bool(request.param == "with the rule")


@pytest.fixture
def url(postgres: EmbeddedPostgres) -> str:
    return copy_database(postgres, "parley_template", f"parley_rules_{next(_numbers)}")


@pytest.fixture
def sql(url: str) -> Iterator[psycopg.Connection]:
    with connect(url) as connection:
        yield connection


@pytest.fixture
def new_bench(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Workbench]]:
    """Makes workbenches: each is a process of its own as far as turns can tell."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))
    database = Database(lambda: url, statement_timeout=10)
    store = SqliteStore(tmp_path / "memory.db")

    def make(script: Script = _NEVER_ASKED, **fields: Any) -> Workbench:
        return Workbench(database, store, script, **fields)

    yield make
    database.close()
    store.close()


@pytest.fixture
def expire(sql: psycopg.Connection) -> Callable[[UUID], None]:
    """Lets a turn's lease run out."""

    def expire(turn_id: UUID) -> None:
        sql.execute(
            "UPDATE turns SET lease_expires_at = now() - interval '1 second' WHERE id = %s",
            (turn_id,),
        )

    return expire
