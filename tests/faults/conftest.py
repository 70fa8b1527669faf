"""A real PostgreSQL, both stores, and processes that may be killed or stopped at any point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from moto.server import ThreadedMotoServer

from parley.events.log import EventLog
from parley.repository.database import Database
from parley_local.postgres import EmbeddedPostgres
from parley_testing.account.moto import MEMORY_TABLE, Account
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import load_function
from parley_testing.postgres.databases import DatabasePool, connect, temporary_postgres
from parley_testing.postgres.new_connections import may_keep
from parley_testing.postgres.transitions import refuse_other_transitions
from parley_testing.scenarios.fork_server import ForkServer
from parley_testing.scenarios.parts import Place, new_log, new_store
from parley_testing.scenarios.setup import Setup
from parley_testing.waiting import HANG_SECONDS

_TEMPLATE = "parley_template"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Forks processes."""
    with ForkServer(tmp_path_factory.mktemp("processes")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A real server, with a migrated database to copy."""
    with temporary_postgres() as server:
        server.create_database(_TEMPLATE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", server.url(_TEMPLATE))
            patch.setenv("DATABASE_RUNTIME_URL", server.runtime_url(_TEMPLATE))
            load_function("migrate").handler({"action": "migrate"}, None)
        with connect(server.url(_TEMPLATE)) as connection:
            refuse_other_transitions(connection)
        yield server


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    """An AWS account with a DynamoDB that all processes reach."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Account(f"http://{host}:{port}")
    server.stop()


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Iterator[DatabasePool]:
    """Databases with Parley's schema."""
    with closing(DatabasePool(postgres, _TEMPLATE)) as databases:
        yield databases


@pytest.fixture
def database_url(databases: DatabasePool, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own."""
    with databases.lend(keeping=may_keep(request)) as url:
        yield url


@pytest.fixture(params=["sqlite"])
def place(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Place:
    """Where both stores are: memory in a SQLite file, or in the store that the test names."""
    if request.param == "sqlite":
        return Place(database_url, sqlite=str(tmp_path / "memory.db"))
    account: Account = request.getfixturevalue("account")
    return Place(database_url, dynamodb=account.url, table=account.table(MEMORY_TABLE))


@pytest.fixture
def sql(place: Place) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, past Parley's code."""
    with connect(place.database_url) as connection:
        yield connection


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    """This process's way to Postgres; it waits for as long as anybody holds a row, as others do."""
    database = Database(lambda: place.database_url, statement_timeout=HANG_SECONDS)
    yield database
    database.close()


@pytest.fixture
def new_setup(
    server: ForkServer, place: Place, sql: psycopg.Connection, database: Database, tmp_path: Path
) -> Iterator[Callable[..., Setup]]:
    """Make the setup of a scenario, by its name."""
    with new_store(place) as store:
        yield lambda name, **also: Setup(
            name, place, server, database, store, sql, tmp_path, **also
        )


@pytest.fixture
def queue(account: Account) -> Iterator[ReceivedWakeups]:
    """A wake queue that all processes reach."""
    queue = ReceivedWakeups(account.url)
    yield queue
    queue.close()


@pytest.fixture
def log(place: Place) -> Iterator[EventLog]:
    """This process's way to the event logs."""
    with new_log(place) as log:
        yield log
