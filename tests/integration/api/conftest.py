"""What tests of the API need besides the handlers."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from parley.repository.database import Database
from parley.repository.sessions import SessionRepository
from parley_local.postgres import EmbeddedPostgres


@pytest.fixture
def sessions(database: Database) -> SessionRepository:
    """The sessions of the test's database."""
    return SessionRepository(database)


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> str:
    """A database without any schema, of the test's own."""
    name = f"empty_{uuid4().hex}"
    postgres.create_database(name)
    return postgres.url(name)


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to the database without a schema."""
    url = empty_database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
