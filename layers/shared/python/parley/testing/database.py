"""The database that a test's turns run on, past Parley's code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

Rows = list[dict[str, Any]]

_GENERATED = (
    "SELECT attname FROM pg_attribute a LEFT JOIN pg_attrdef d"
    " ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = %s::regclass"
    " AND (a.attidentity <> ''"
    " OR pg_get_expr(d.adbin, d.adrelid) ~ 'nextval|now|uuid|clock|CURRENT')"
)


class TestDatabase:
    """A database as its owner sees it. Every statement commits itself.

    Attributes:
        url: Its SQLAlchemy URL.
    """

    __test__ = False  # pytest takes it for tests by its name

    def __init__(self, url: str) -> None:
        self.url = url
        self._kept: psycopg.Connection[Any] | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Do all that is done in the block on one connection: a new one knows of no table."""
        with self.connect() as self._kept:
            try:
                yield
            finally:
                self._kept = None

    def rows(self, query: str, values: Mapping[str, Any] | None = None) -> Rows:
        """Return a query's rows by column name."""
        with self.connection() as connection:
            return connection.cursor(row_factory=dict_row).execute(query, values).fetchall()

    def execute(self, statements: str) -> None:
        """Execute statements."""
        with self.connection() as connection:
            connection.execute(statements)

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection."""
        return psycopg.connect(self.url.replace("+psycopg", "", 1), autocommit=True)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Open a connection for the block: that of `connected`, or one of its own."""
        if self._kept is not None:
            yield self._kept
            return
        with self.connect() as connection:
            yield connection

    def tables(self) -> set[str]:
        """Return the names of all tables, outside of the schema `public` with their schema."""
        found = self.rows(
            "SELECT c.oid::regclass::text AS name FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p')"
            " AND NOT relispartition AND nspname !~ '^pg_' AND nspname <> 'information_schema'"
        )
        return {row["name"] for row in found}

    def contents(self, table: str) -> Rows:
        """Return a table's rows, without the columns that the database fills by itself.

        Args:
            table: Its name, as `tables` gives it.
        """
        with self.connection() as connection:
            generated = {name for (name,) in connection.execute(_GENERATED, [table])}
            rows = connection.cursor(row_factory=dict_row).execute(f"TABLE {table}".encode())
            return [
                {name: value for name, value in row.items() if name not in generated}
                for row in rows.fetchall()
            ]
