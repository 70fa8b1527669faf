"""A pytest plugin: the SDK's tests of its SQLiteSession get Parley's session instead.

`PARLEY_STORE` says on which store, `sqlite` or `dynamodb`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sdk_session import ParleySession
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore

TABLE = "memory"

# What these test is how SQLiteSession is built, and no session's duty. Everything else must pass.
NOT_OURS = {
    "test_sqlite_session_close_closes_worker_thread_connections": "its connection pool",
    "test_sqlite_session_reaps_connections_from_exited_worker_threads": "its connection pool",
    "test_sqlite_session_closes_retired_connections_before_the_next_allocation": "its pool",
    "test_sqlite_session_keeps_connections_of_live_worker_threads": "its connection pool",
    "test_sqlite_session_rollback_failure_evicts_connection": "its connection pool",
    "test_sqlite_session_close_retries_quarantined_connection": "its connection pool",
    "test_sqlite_session_closed_rejects_empty_add_items": "a session of ours is not closed",
    "test_sqlite_session_file_lock_is_shared_across_instances": "its lock files",
    "test_sqlite_session_failed_add_items_releases_write_lock": "its locks",
    "test_sqlite_session_failed_clear_session_rolls_back": "its SQL statements",
    "test_sqlite_session_failed_pop_item_releases_write_lock": "its locks",
    "test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome": "its locks",
    "test_sqlite_session_pop_item_skips_corrupt_most_recent": "rows damaged in its own table",
    "test_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows": "its table",
    "test_sqlite_session_get_items_limit_skips_corrupt_newest_rows": "its own table",
    "test_sqlite_session_get_items_session_settings_limit_skips_corrupt_rows": "its own table",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not a session's duty; a name that is not there any more is an error."""
    names = {item.name.partition("[")[0] for item in items}
    if gone := NOT_OURS.keys() - names:
        raise pytest.UsageError(f"The SDK has no such tests any more: {sorted(gone)}")
    left_out = [item for item in items if item.name.partition("[")[0] in NOT_OURS]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


class _Session(ParleySession):
    """Parley's session with the method that the tests call at their end."""

    def close(self) -> None:
        """Do nothing: the store is the test run's."""


@pytest.fixture(autouse=True)
def _in_place_of_sqlite(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, mock_aws():
        stores: dict[str, AgentSessionStore] = {}

        def session(session_id: str, db_path: Any = ":memory:", **options: Any) -> _Session:
            # Each ":memory:" is a database of its own, each path one for all who name it.
            key = f"memory-{len(stores)}" if db_path == ":memory:" else str(db_path)
            if key not in stores:
                stores[key] = _store(Path(folder) / f"{len(stores)}.db")
            return _Session(session_id, stores[key], **options)

        if hasattr(request.module, "SQLiteSession"):
            monkeypatch.setattr(request.module, "SQLiteSession", session)
        yield
        for store in stores.values():
            if isinstance(store, SqliteStore):
                store.close()


def _store(path: Path) -> AgentSessionStore:
    if os.environ["PARLEY_STORE"] == "sqlite":
        return SqliteStore(path)
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=f"{TABLE}-{path.stem}",
        KeySchema=[
            {"AttributeName": "conversation", "KeyType": "HASH"},
            {"AttributeName": "part", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "conversation", "AttributeType": "S"},
            {"AttributeName": "part", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return DynamoDbStore(client, f"{TABLE}-{path.stem}")
