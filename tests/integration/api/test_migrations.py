"""Migrations: they can run again, at once and beside newer ones, and give what the models say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from parley.errors import StoreUnavailable
from parley.repository import connection
from parley.repository.database import Database
from parley.repository.scope import SERVICE
from parley.repository.tables import METADATA
from parley_testing.api.handlers import FUNCTIONS, load_function
from parley_testing.postgres.databases import runtime_url
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.waiting import HANG_SECONDS, longer_and_longer

OF_PROJECT = {"tasks", "deleted_task_keys", "parley_project_version"}
"""What the repository's project has, and of 0001 was Parley's."""

MIGRATE = """
import app
print(app.handler({"action": "migrate"}, None)["revision"])
"""


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Database]:
    database = Database(lambda: empty_database_url, statement_timeout=10, as_owner=True)
    yield database
    database.close()


@pytest.fixture
def migrate(environment: pytest.MonkeyPatch, empty_database_url: str) -> Any:
    """The function over a database without a schema; gives the revision that it reaches."""
    environment.setenv("DATABASE_URL", empty_database_url)
    environment.setenv("DATABASE_RUNTIME_URL", runtime_url(empty_database_url))
    function = load_function("migrate")
    return lambda: function.handler({"action": "migrate"}, None)["revision"]


def schema() -> ModuleType:
    """The module beside the handler."""
    load_function("migrate")
    return import_module("schema")


def newest() -> str:
    head = ScriptDirectory.from_config(schema().config()).get_current_head()
    assert head is not None
    return head


def described(sql: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Describe every column, constraint and index of the schema."""
    return sql.execute("""
        SELECT table_name, column_name, data_type, is_nullable, column_default
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        UNION ALL
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
          AND conrelid::regclass::text <> 'alembic_version'
        UNION ALL
        SELECT tablename, indexname, indexdef, '', '' FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        ORDER BY 1, 2, 3
    """).fetchall()


def revisions(sql: psycopg.Connection) -> list[tuple[Any, ...]]:
    return sql.execute("SELECT version_num FROM alembic_version").fetchall()


def test_a_migration_reaches_the_newest_revision_and_then_has_nothing_to_do(
    migrate: Any, empty: psycopg.Connection
) -> None:
    assert migrate() == newest()
    empty.execute("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), 'a', 'b')")
    before = described(empty)

    assert migrate() == newest()

    assert described(empty) == before
    assert revisions(empty) == [(newest(),)]
    assert empty.execute("SELECT title FROM tasks").fetchall() == [("b",)]


def test_several_at_once_wait_for_each_other_and_all_succeed(
    environment: pytest.MonkeyPatch, empty_database_url: str, empty: psycopg.Connection
) -> None:
    environment.setenv("DATABASE_URL", empty_database_url)
    environment.setenv("DATABASE_RUNTIME_URL", runtime_url(empty_database_url))
    with empty.transaction():
        empty.execute("SELECT pg_advisory_xact_lock(%s)", [schema()._LOCK])
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", MIGRATE],
                cwd=FUNCTIONS / "migrate",
                env=os.environ.copy(),
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        waiting = 0
        while waiting < 2 and all(process.poll() is None for process in processes):
            waiting = empty.execute(
                "SELECT FROM pg_locks, pg_sleep(0.02) WHERE locktype = 'advisory' AND NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).rowcount

    said = [process.communicate(timeout=HANG_SECONDS)[0].strip() for process in processes]

    assert waiting == 2
    assert [process.returncode for process in processes] == [0, 0]
    assert said == [newest()] * 2
    assert revisions(empty) == [(newest(),)]


def test_a_newer_revision_is_left_alone(migrate: Any, empty: psycopg.Connection) -> None:
    migrate()
    empty.execute("UPDATE alembic_version SET version_num = '9999'")
    empty.execute("ALTER TABLE sessions ADD COLUMN of_newer_code text")
    before = described(empty)

    assert migrate() == "9999"

    assert revisions(empty) == [("9999",)]
    assert described(empty) == before


def test_a_migration_that_fails_leaves_nothing(migrate: Any, empty: psycopg.Connection) -> None:
    empty.execute("CREATE TABLE turns ()")  # in the way of the first revision

    with pytest.raises(Exception, match="turns"):
        migrate()

    tables = empty.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables.fetchall() == [("turns",)]


def test_alembic_finds_nothing_to_add_to_what_the_migrations_made(database: Database) -> None:
    with database.transaction(SERVICE) as opened:
        context = MigrationContext.configure(
            opened,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "table" or name not in OF_PROJECT,
            },
        )

        assert compare_metadata(context, METADATA) == []


def test_the_migrations_make_what_the_models_say(
    sql: psycopg.Connection, empty: psycopg.Connection, empty_database: Database
) -> None:
    with empty_database.transaction(SERVICE) as opened:
        METADATA.create_all(opened)

    made = [each for each in described(sql) if each[0] not in OF_PROJECT]
    assert made == described(empty)
    assert len(described(sql)) > 50


def test_a_lock_is_waited_for_longer_than_a_statement_may_take(
    environment: pytest.MonkeyPatch, empty_database_url: str, empty: psycopg.Connection
) -> None:
    waiting = (
        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    reached: list[str] = []

    def migrate(hurried: Database) -> None:
        with suppress(StoreUnavailable):  # one of its own statements took too long
            reached.append(schema().upgrade(hurried))

    for seconds in longer_and_longer(0.2):
        environment.setattr(connection, "_ANSWER_SECONDS", seconds / 2)
        hurried = Database(lambda: empty_database_url, statement_timeout=seconds, as_owner=True)
        migrating = threading.Thread(target=migrate, args=(hurried,))
        with empty.transaction():
            empty.execute("SELECT pg_advisory_xact_lock(%s)", [schema()._LOCK])
            migrating.start()
            while migrating.is_alive() and not empty.execute(waiting).rowcount:
                pass
            # Longer than both limits of an ordinary statement.
            empty.execute("SELECT pg_sleep(%s)", [3 * seconds])
        migrating.join()
        if reached:
            break

    assert reached == [newest()]
    hurried.close()


def test_the_roles_own_limits_do_not_end_it(
    empty_database_url: str, empty: psycopg.Connection
) -> None:
    database = Database(lambda: empty_database_url, statement_timeout=10, as_owner=True)

    with database.long_transaction(99) as opened:
        limits = opened.execute(
            text(
                "SELECT setting FROM pg_settings WHERE name IN ('statement_timeout',"
                " 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')"
            )
        ).scalars()

        assert set(limits) == {"99000"}
    database.close()


def test_a_database_that_wakes_is_waited_for(
    environment: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    slept: list[float] = []
    with PostgresWire(empty_database_url) as wire:
        wire.refuse()
        database = Database(lambda: wire.url, statement_timeout=10, as_owner=True)

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 5:
                wire.restore()

        environment.setattr("schema.time.sleep", sleep)

        assert schema().upgrade(database) == newest()

        database.close()
    assert slept == [0.5, 1.0, 2.0, 5.0, 5.0]


def test_what_does_not_pass_by_itself_ends_it_at_once(
    environment: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    environment.setattr("schema.time.sleep", lambda _: pytest.fail("it was tried again"))
    database = Database(
        lambda: f"{empty_database_url}&dbname=nowhere", statement_timeout=10, as_owner=True
    )

    with pytest.raises(StoreUnavailable):
        schema().upgrade(database)

    database.close()
