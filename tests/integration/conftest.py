"""An embedded PostgreSQL for the whole run, a fresh database for each test, the API over it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from moto.server import ThreadedMotoServer

from parley.memory.sqlite import SqliteStore
from parley.observability import logger
from parley.repository.database import Database
from parley.repository.turns import TurnRepository
from parley_local.postgres import EmbeddedPostgres
from parley_testing.account.unread_queue import unread_queue
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Api, load_function
from parley_testing.postgres.databases import DatabasePool, connect, temporary_postgres
from parley_testing.postgres.new_connections import may_keep
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.warm.starting import Starts, forked_starts

_TEMPLATE = "parley_template"


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[Starts | None]:
    """Forks `parley` and its processes from one that has imported them; None at length."""
    with forked_starts() as starts:
        yield starts


@pytest.fixture
def nothing_forked(forks: Starts | None) -> Iterator[None]:
    """Start processes as a developer does."""
    with nullcontext() if forks is None else forks.left_out():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A real server, with a migrated database to copy."""
    with temporary_postgres() as server:
        server.create_database(_TEMPLATE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", server.url(_TEMPLATE))
            patch.setenv("DATABASE_RUNTIME_URL", server.runtime_url(_TEMPLATE))
            load_function("migrate").handler({"action": "migrate"}, None)
        yield server


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Iterator[DatabasePool]:
    """Databases with Parley's schema."""
    with closing(DatabasePool(postgres, _TEMPLATE)) as databases:
        yield databases


@pytest.fixture(scope="session")
def new_database(databases: DatabasePool) -> Callable[[], str]:
    """Makes databases with Parley's schema and gives their URLs."""
    return databases.copy


@pytest.fixture
def database_url(databases: DatabasePool, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own, as the functions log in to it."""
    with databases.lend(keeping=may_keep(request)) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The way to the test's database."""
    database = Database(lambda: database_url, statement_timeout=10)
    yield database
    database.close()


@pytest.fixture
def wire(database_url: str) -> Iterator[PostgresWire]:
    """What goes between the test's database and its server."""
    with PostgresWire(database_url) as wire:
        yield wire


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, past Parley's code: the owner's, who sees all rows."""
    with connect(database_url) as connection:
        yield connection


@pytest.fixture(scope="session")
def sqs() -> Iterator[str]:
    """Where moto's SQS answers."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # tests look at what is logged
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def queue(sqs: str) -> Iterator[ReceivedWakeups]:
    """An empty queue of the test's own."""
    queue = ReceivedWakeups(sqs)
    yield queue
    queue.close()


@pytest.fixture(scope="session")
def wakeups_unread() -> Iterator[Mapping[str, str]]:
    """The settings of a queue for all tests that look at nothing in it."""
    with unread_queue() as settings:
        yield settings


@pytest.fixture(scope="session", autouse=True)
def level_of_a_deployment() -> None:
    """Have the process log as `environment` says, whichever test makes the logger first."""
    logger().setLevel("WARNING")


@pytest.fixture
def environment(
    database_url: str,
    wakeups_unread: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> pytest.MonkeyPatch:
    """The settings of a deployment with SQLite memory, the offline model and a queue."""
    settings = {
        **wakeups_unread,
        "DATABASE_RUNTIME_URL": database_url,
        "AGENT_SESSION_STORE": "sqlite",
        "AGENT_SESSION_DB_PATH": str(tmp_path / "memory.db"),
        "OFFLINE_MODEL": "true",
        "POWERTOOLS_LOG_LEVEL": "WARNING",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return monkeypatch


@pytest.fixture
def memory(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SqliteStore]:
    """The functions' memory, past their own code."""
    store = SqliteStore(tmp_path / "memory.db")
    yield store
    store.close()


@pytest.fixture
def turns(database: Database) -> TurnRepository:
    """The life of turns, past the functions."""
    return TurnRepository(database, window=100)


@pytest.fixture
def log_lines() -> Iterator[StringIO]:
    """What the process logs at INFO and above."""
    handler, level, lines = logger().registered_handler, logger().log_level, StringIO()
    assert isinstance(handler, logging.StreamHandler)
    # Not by setStream, which flushes what was there: the closed capture of an earlier test, maybe.
    before, handler.stream = handler.stream, lines
    logger().setLevel("INFO")
    yield lines
    logger().setLevel(level)
    handler.stream = before


@pytest.fixture
def api(environment: pytest.MonkeyPatch) -> Iterator[Api]:
    """The deployment's functions, warm from the second request on."""
    api = Api()
    yield api
    api.close()
