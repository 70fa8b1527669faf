"""Through a pooler that lends a connection for one transaction, and refuses start-up options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import text

from parley.errors import StoreUnavailable
from parley.repository import connection
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley_testing.api.handlers import Api, load_function
from parley_testing.postgres.databases import connect, runtime_url
from parley_testing.postgres.poolers import PGBOUNCER, pgbouncer, stand_in
from parley_testing.waiting import HANG_SECONDS

Pooler = Callable[[str], AbstractContextManager[str]]

POOLERS = [
    pytest.param(stand_in, id="stand-in"),
    pytest.param(
        pgbouncer,
        id="pgbouncer",
        marks=pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer is installed"),
    ),
]


@pytest.fixture(params=POOLERS)
def pooler(request: pytest.FixtureRequest) -> Pooler:
    made: Pooler = request.param
    return made


@pytest.fixture
def pooled_url(pooler: Pooler, database_url: str) -> Iterator[str]:
    with pooler(database_url) as url:
        yield url


@pytest.fixture
def pooled(pooled_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    # Postgres ends what takes too long; this process may be as late as it likes to hear of it.
    monkeypatch.setattr(connection, "_ANSWER_SECONDS", HANG_SECONDS)
    database = Database(lambda: pooled_url, statement_timeout=1)
    yield database
    database.close()


@pytest.fixture
def pooled_api(environment: pytest.MonkeyPatch, pooled_url: str) -> Iterator[Api]:
    environment.setenv("DATABASE_RUNTIME_URL", pooled_url)
    api = Api()
    yield api
    api.close()


def test_start_up_options_are_refused(pooled_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        psycopg.connect(pooled_url.replace("+psycopg", ""), options="-c statement_timeout=1000")


def test_every_statement_has_its_limit(pooled: Database) -> None:
    for _ in range(3):  # whichever of the pooler's connections it gets
        with pytest.raises(StoreUnavailable) as unavailable:
            pooled.run_once(OfUser("alice"), text("SELECT pg_sleep(20)"))
        assert unavailable.value.reason == "57014"

    with pytest.raises(StoreUnavailable) as unavailable:
        sleep_later(pooled)
    assert unavailable.value.reason == "57014"


def sleep_later(database: Database) -> None:
    """Sleep in a transaction, with its second statement."""
    with database.transaction(OfUser("alice")) as opened:
        opened.execute(text("SELECT 1"))
        opened.execute(text("SELECT pg_sleep(20)"))


def test_nothing_is_left_behind_for_the_next_client(
    pooler: Pooler, new_database: Callable[[], str]
) -> None:
    isolation, zone = "repeatable read", "Asia/Kolkata"
    own_url = new_database()
    with connect(own_url) as sql:
        name = Identifier(sql.info.dbname)
        for setting, value in (("default_transaction_isolation", isolation), ("timezone", zone)):
            change = SQL("ALTER DATABASE {} SET {} = {}")
            sql.execute(change.format(name, Identifier(setting), Literal(value)))

    with pooler(own_url) as url:
        pooled = Database(lambda: url, statement_timeout=10)
        for _ in range(4):
            assert pooled.run(OfUser("alice"), text("SELECT current_setting('timezone')")) == [
                ("UTC",)
            ]
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
            found = {
                other.execute(
                    "SELECT current_setting('transaction_isolation'), current_setting('timezone'),"
                    " current_setting('statement_timeout')"
                ).fetchone()
                for _ in range(4)
            }
        pooled.close()

    assert found == {(isolation, zone, "0")}


def test_a_conversation_is_had_and_followed_and_taken_away(
    pooled_api: Api, sql: psycopg.Connection
) -> None:
    session_id = pooled_api.new_session(name="groceries")
    for number in range(3):
        sent = pooled_api("POST", f"/sessions/{session_id}/messages", {"text": f"add {number}"})
        assert sent.status == 201, sent
    streamed = pooled_api("POST", f"/sessions/{session_id}/messages/stream", {"text": "add oil"})
    assert "turn.completed" in streamed.body
    tasks = pooled_api("GET", "/tasks").json["items"]
    assert sorted(task["title"] for task in tasks) == ["0", "1", "2", "oil"]

    assert pooled_api("DELETE", f"/sessions/{session_id}").status == 204

    assert sql.execute("SELECT FROM turns").fetchall() == []


def test_a_migration_runs_through_it(
    environment: pytest.MonkeyPatch, postgres: Any, pooler: Pooler
) -> None:
    name = f"pooled_{getattr(pooler, '__name__', 'pooler')}"
    postgres.create_database(name)
    with pooler(postgres.url(name)) as url:
        environment.setenv("DATABASE_URL", url)
        environment.setenv("DATABASE_RUNTIME_URL", runtime_url(url))

        load_function("migrate").handler({"action": "migrate"}, None)

    with psycopg.connect(postgres.url(name).replace("+psycopg", "")) as sql:
        assert sql.execute("SELECT FROM sessions").fetchall() == []
