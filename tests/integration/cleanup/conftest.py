"""Cleanups over a real database and both stores, and sessions of any age for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import psycopg
import pytest

from parley.cleanup.cleaner import Cleaner
from parley.cleanup.report import CleanupReport
from parley.cleanup.retention import CleanupRequest, Retention
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.expired_sessions import Ages, Scope
from parley_testing.account.moto import dynamodb_in_process, memory_table
from parley_testing.stores.aged import Aged
from parley_testing.workbench import WatchedStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY = 86_400
_BY_STORE = {"test_forgetting_by_age", "test_keys_and_sweep"}
"""Tests of what is done otherwise in each store: one of them forgets by itself."""

AGES = Ages(closed_sessions=30 * DAY, empty_sessions=1 * DAY)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let the tests of a file take turns in the two stores: what those do is tried in `memory/`."""
    if item.path.stem not in _BY_STORE:
        item.add_marker("in_turns")


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request: pytest.FixtureRequest) -> AgentSessionStore:
    """Each of the stores in turn."""
    built: AgentSessionStore = request.getfixturevalue(f"{request.param}_store")
    return built


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "memory.db")
    yield store
    store.close()


@pytest.fixture(scope="module")
def dynamodb_client() -> Iterator[DynamoDBClient]:
    with dynamodb_in_process() as client:
        yield client


@pytest.fixture
def dynamodb_store(dynamodb_client: DynamoDBClient) -> Iterator[DynamoDbStore]:
    table = memory_table(dynamodb_client)
    yield DynamoDbStore(dynamodb_client, table)
    dynamodb_client.delete_table(TableName=table)


@pytest.fixture
def aged(database: Database, store: AgentSessionStore, sql: psycopg.Connection) -> Aged:
    return Aged(database, store, sql)


@pytest.fixture
def watched(store: AgentSessionStore) -> WatchedStore:
    """The store as cleanups see it."""
    return WatchedStore(store)


@pytest.fixture
def new_cleaner(database: Database, watched: WatchedStore) -> Callable[..., Cleaner]:
    """Makes cleaners: each is a process of its own as far as cleanups can tell."""

    def make(through: Database | None = None) -> Cleaner:
        seen, there = through or database, cast("AgentSessionStore", watched)
        return Cleaner(seen, Retention(seen, lambda: there, AGES))

    return make


@pytest.fixture
def cleaner(new_cleaner: Callable[..., Cleaner]) -> Cleaner:
    return new_cleaner()


class Clean(Protocol):
    """Cleans up, with time for so many pages of work, and gives the report."""

    def __call__(
        self, scope: Scope = ..., /, *, pages: int | None = None, **asked: Any
    ) -> CleanupReport: ...


@pytest.fixture
def clean(cleaner: Cleaner) -> Clean:
    def clean(
        scope: Scope | None = None, /, *, pages: int | None = None, **asked: Any
    ) -> CleanupReport:
        request = CleanupRequest(scope=scope or Scope(), **asked)
        return cleaner.clean(request, left=lasting(pages))

    return clean


def lasting(pages: int | None) -> Callable[[], float]:
    """Let time be up when it has been asked for so often; None for never."""
    asked = count(1)
    return lambda: 60.0 if pages is None or next(asked) <= pages else 0.0
