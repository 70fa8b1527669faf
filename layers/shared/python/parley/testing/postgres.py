"""An embedded PostgreSQL for a pytest session, and migrated databases in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url

from parley.errors import MissingManifest
from parley.manifest import manifest
from parley.repository.database import Database
from parley.testing.database import TestDatabase
from parley.testing.turn import Mode
from parley.user_tables import Kept, kept_of_users
from parley_backend import backend
from parley_local.postgres import RUNTIME_ROLE, EmbeddedPostgres

_TEMPLATE = "parley_template"
_numbers = count(1)

Schema = str | Callable[[psycopg.Connection[object]], object] | None
"""A project's own tables: SQL, or a function of a connection."""


class Databases:
    """Copies of one migrated database.

    Attributes:
        core: The names of Parley's own tables.
        warm: The modes in which a turn has been carried out to warm the process up.
    """

    def __init__(self, server: EmbeddedPostgres, schema: Schema) -> None:
        """Migrate a database to copy.

        Args:
            server: Where.
            schema: What is made behind Parley's own tables and the project's migrations, as the
                database's owner.
        """
        self.warm: set[Mode] = set()
        self._server = server
        self._admin = TestDatabase(server.url("postgres"))
        server.create_database(_TEMPLATE)
        url = server.url(_TEMPLATE)
        _migrate(url, None)
        made = TestDatabase(url)
        self.core = frozenset(made.tables())
        if (project := _project_migrations()) is not None:
            _migrate(url, project)
        if schema is not None:
            with made.connect() as connection:
                if isinstance(schema, str):
                    connection.execute(schema.encode())
                else:
                    schema(connection)
        if (kept := _kept()) is not None:
            _migrate(url, project, kept)

    def copy(self, url: str | None = None) -> str:
        """Copy a database, the migrated one if none is given, and return the owner's URL."""
        name = f"parley_{next(_numbers)}"
        source = _TEMPLATE if url is None else database_name(url)
        with self._admin.connection() as admin:
            copy_database(admin, source, name)
        return self._server.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        name = Identifier(database_name(url))
        with self._admin.connection() as admin:
            admin.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def connected(self) -> AbstractContextManager[None]:
        """Copy and drop on one connection within the block."""
        return self._admin.connected()


@contextmanager
def temporary_server() -> Iterator[EmbeddedPostgres]:
    """Run a real server on a directory of its own, which goes with it."""
    directory = Path(tempfile.mkdtemp(prefix="parley-test-"))
    try:
        with EmbeddedPostgres(directory / "data", directory / "log") as server:
            with TestDatabase(server.url("postgres")).connect() as connection:
                # Nobody misses the data after the run, so nobody has to wait for the disk.
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET full_page_writes = off")
                # What a test reads of statistics and plans depends on that test only.
                connection.execute("ALTER SYSTEM SET autovacuum = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def runtime_url(url: str) -> str:
    """Return the URL of a database as the functions have it, from the owner's."""
    return url.replace("postgres@", f"{RUNTIME_ROLE}@", 1)


def _migrate(url: str, project: Path | None, kept: Sequence[Kept] | None = None) -> None:
    """Do what the function `migrate` does.

    Args:
        url: The database, as its owner has it.
        project: The folder of the project's own migrations, which come behind Parley's.
        kept: What the project says that it keeps of users, whose rows nobody else is to see.
    """
    file = backend("functions", "migrate", "schema.py")
    # Under a name of its own: a project may have a module `schema`.
    spec = spec_from_file_location("parley_migrate_schema", file)
    assert spec is not None
    assert spec.loader is not None
    schema = module_from_spec(spec)
    spec.loader.exec_module(schema)
    database = Database(lambda: url, statement_timeout=60, as_owner=True)
    try:
        schema.upgrade(database, runtime=make_url(runtime_url(url)), project=project, kept=kept)
    finally:
        database.close()


def _kept() -> Sequence[Kept] | None:
    """Return what the project says that it keeps of users; None if it says nothing."""
    try:
        said = manifest().user_data
    except MissingManifest:
        return None
    return None if said is None else kept_of_users()


def _project_migrations() -> Path | None:
    try:
        named = manifest().migrations
    except MissingManifest:  # there is no project: the agents are given as objects
        return None
    return None if named is None else Path(named)


def copy_database(admin: psycopg.Connection[Any], source: str, name: str) -> None:
    """Make a database as another is, to which nobody may be connected."""
    copying = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    admin.execute(copying.format(Identifier(name), Identifier(source)))


def database_name(url: str) -> str:
    """Return the name of the database of an embedded server's URL."""
    return url.partition("@/")[2].partition("?")[0]
