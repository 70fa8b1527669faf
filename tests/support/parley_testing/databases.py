"""An embedded PostgreSQL for a test run, and copies of a database in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from parley_local.postgres import EmbeddedPostgres


@contextmanager
def temporary_postgres() -> Iterator[EmbeddedPostgres]:
    """A real server on a directory of its own, which goes with it."""
    directory = Path(tempfile.mkdtemp(prefix="parley-test-"))
    try:
        with EmbeddedPostgres(directory / "data", directory / "log") as server:
            with connect(server.url("postgres")) as connection:
                # Nobody misses the data after the run, so nobody has to wait for the disk.
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server
    finally:
        shutil.rmtree(directory)


def copy_database(server: EmbeddedPostgres, template: str, name: str) -> str:
    """Make a database as a copy of another and return its URL. Nobody may use the other now."""
    with connect(server.url("postgres")) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return server.url(name)


def connect(url: str) -> psycopg.Connection:
    """Connect past Parley's code; every statement commits itself."""
    return psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True)
