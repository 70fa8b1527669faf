"""An embedded PostgreSQL for a test run, and databases in it that are used again and again.

With `PARLEY_TEST_POOLER=pgbouncer` the functions reach it through PgBouncer in transaction mode.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from parley.repository.address import service_login
from parley.testing import TestDatabase
from parley.testing import postgres as testing
from parley.testing.postgres import copy_database, database_name, temporary_server
from parley_local.postgres import RUNTIME_ROLE, EmbeddedPostgres
from parley_testing.postgres.kept_connections import KeptConnections, servers_of
from parley_testing.postgres.poolers import pooled_logins

# What a schema is made of. Whatever changes it leaves a row of another transaction in one of these.
_CATALOGS = (
    "pg_attrdef",
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_default_acl",
    "pg_event_trigger",
    "pg_extension",
    "pg_index",
    "pg_inherits",
    "pg_largeobject_metadata",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_rewrite",
    "pg_sequence",
    "pg_trigger",
    "pg_type",
)
# Postgres plans for an empty table as if it had ten pages: until then, dead rows change no plan.
_PAGES_UNNOTICED = 10
_FIRST_OID_OF_USERS = 16384
_NUMBERS = count(1)
# Where a test run's pooler has its socket: beside the server's.
_POOLED = "-pooled"


@contextmanager
def temporary_postgres() -> Iterator[EmbeddedPostgres]:
    """A real server on a directory of its own, which goes with it."""
    with temporary_server() as server, ExitStack() as stack:
        if goes_through_a_pooler():
            logins = (RUNTIME_ROLE, service_login(RUNTIME_ROLE))
            stack.enter_context(pooled_logins(server.url("postgres"), logins, _POOLED))
        yield server


class DatabasePool:
    """Databases that are as a template was; one that was given back is cleaned and used again.

    Copying a database costs Postgres a hundred times what emptying its tables costs. A database
    is used again only if nothing but rows and sequences was changed in it: one with another
    schema, other settings or rights, statistics, connections that are still open or changed rows
    of the template's is left alone for good, and the next test gets a copy. Each use has a name
    of its own, so that whoever still knows the name of an earlier use reaches nothing. Connections
    that this process closes are kept for the next use, too.
    """

    def __init__(self, server: EmbeddedPostgres, template: str) -> None:
        """Make an empty pool.

        Args:
            server: The server that all its databases are on.
            template: The database to copy. Nobody changes it or connects to it from now on.
        """
        self._server = server
        self._template = template
        self._admin = connect(server.url("postgres"))
        self._stack = ExitStack()
        self._stack.enter_context(self._admin)
        kept = KeptConnections(server.url(), self._admin)
        self._connections = self._stack.enter_context(kept.installed())
        self._names = (f"parley_{number}" for number in _NUMBERS)
        self._given_back: list[str] = []
        with connect(server.url(template)) as connection:
            tables = _tables(connection)
            filled = [table for table in tables if _has_rows(connection, table)]
            self._state_query = _state_query(filled)
            self._state = self._read_state(connection)
            self._clean = _cleaning(connection, [table for table in tables if table not in filled])

    def close(self) -> None:
        """Let go of the server; the databases stay."""
        self._stack.close()

    def copy(self, url: str | None = None) -> str:
        """Make a new database and return its URL, as the functions have it.

        Args:
            url: Another database to copy than the template, to which nobody may be connected.
        """
        name = next(self._names)
        copy_database(self._admin, database_name(url) if url else self._template, name)
        return runtime_url(self._server.url(name))

    @contextmanager
    def lend(self, *, keeping: bool = True) -> Iterator[str]:
        """Return the URL of a database that is as the template was, and take it back at the end.

        Args:
            keeping: Whether there may be connections of an earlier use to it, and those that are
                closed stay open for a later one. Without, it has none but those of who has it.
        """
        url = self._used_again() or self.copy()
        name = database_name(url)
        if keeping:
            self._connections.keep(name)
        else:
            self._connections.close(name)
            while self._connected(name):
                pass
        yield url
        self._given_back.append(name)

    def in_use(self, name: str) -> bool:
        """Return whether anybody is connected to a database, but for the kept connections."""
        return bool(self._connected(name) - self._connections.servers(name))

    def empty(self, url: str) -> None:
        """Make the rows of a database what the template's are, whoever is connected to it."""
        with connect(url) as connection:
            self._remove_rows(connection)

    def _used_again(self) -> str | None:
        # One that is still connected to may be free the next time: most connections are just
        # being closed.
        for name in list(self._given_back):
            if not self.in_use(name):
                self._given_back.remove(name)
                if (new := self._renamed(name)) is not None and self._is_cleaned(new):
                    return runtime_url(self._server.url(new))
        return None

    def _connected(self, name: str, *, beginning: bool = False) -> set[int]:
        """Return the server's processes that are connected to a database.

        Args:
            name: The database's.
            beginning: Whether to return those, too, that are only about to be connected to one.
        """
        found = self._admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s"
            " OR (%s AND datname IS NULL AND backend_type = 'client backend')",
            [name, beginning],
        )
        return {pid for (pid,) in found}

    def _renamed(self, name: str) -> str | None:
        """Give a database its next name and return that; None if it is not to be used again."""
        kept = self._connections.withdrawn(name)
        new = next(self._names)
        # ALTER DATABASE would refuse it for the kept connections. What it has no place for: one
        # that does not allow connections, or has settings of its own.
        changed = self._admin.execute(
            "UPDATE pg_database d SET datname = %s FROM pg_database t WHERE t.datname = %s"
            " AND d.datname = %s AND d.datallowconn AND d.datconnlimit = t.datconnlimit"
            " AND d.datdba = t.datdba AND d.datacl IS NOT DISTINCT FROM t.datacl"
            " AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = d.oid)",
            [new, self._template, name],
        )
        # Who had looked up the old name before it was gone is seen now, if not before.
        late = self._connected(new, beginning=True) - servers_of(kept)
        self._connections.put_back(new, kept)
        if changed.rowcount == 1 and not late:
            return new
        self._connections.close(new)
        return None

    def _is_cleaned(self, name: str) -> bool:
        """Return whether only rows were changed in a database, which are as the template's now."""
        with connect(self._server.url(name)) as connection:
            as_made = self._read_state(connection) == self._state
            if as_made:
                self._remove_rows(connection)
        if not as_made:
            self._connections.close(name)
        return as_made

    def _remove_rows(self, connection: psycopg.Connection) -> None:
        # Neither foreign keys nor triggers are asked: all goes.
        connection.execute("SET session_replication_role = replica")
        connection.execute(self._clean)

    def _read_state(self, connection: psycopg.Connection) -> object:
        try:
            return connection.execute(self._state_query).fetchone()
        except psycopg.errors.UndefinedTable:  # one that had rows in the template is gone
            return None


def connect(url: str) -> psycopg.Connection:
    """Connect past Parley's code, as the owner; every statement commits itself."""
    return TestDatabase(owner_url(url)).connect()


def name_of(connection: psycopg.Connection[Any]) -> str:
    """Return the name that its database has now; `info` knows that of when it was opened."""
    found = connection.execute("SELECT current_database()").fetchone()
    assert found is not None
    return str(found[0])


def runtime_url(url: str) -> str:
    """Return the URL of a database as the functions have it, from the owner's."""
    functions = testing.runtime_url(url)
    # A wire or a pooler of a test's own has none beside it.
    pooled = Path(parse_qs(urlsplit(functions).query)["host"][0] + _POOLED).exists()
    return functions + _POOLED if pooled else functions


def owner_url(url: str) -> str:
    """Return the URL of a database as its owner has it, from the functions'."""
    return url.replace(f"{RUNTIME_ROLE}@", "postgres@").removesuffix(_POOLED)


def past_pooler(url: str) -> str:
    """Return the same URL without the run's pooler, for what disturbs the way to the server."""
    return url.removesuffix(_POOLED)


def without_idle_limit(url: str) -> str:
    """Return the same URL, past the run's pooler, for transactions that may be left idle for ever.

    For a test in which a statement takes longer than it may: this process may be stopped for as
    long between two of them, and Postgres would end the transaction for that.
    """
    return f"{past_pooler(url)}&options=-cidle_in_transaction_session_timeout%3D0"


def goes_through_a_pooler() -> bool:
    """Return whether the functions of this run reach Postgres through PgBouncer."""
    return os.environ.get("PARLEY_TEST_POOLER") == "pgbouncer"


def _tables(connection: psycopg.Connection) -> list[Identifier]:
    found = connection.execute(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind = 'r' AND c.oid >= %s ORDER BY 1, 2",
        [_FIRST_OID_OF_USERS],
    )
    return [Identifier(schema, table) for schema, table in found]


def _has_rows(connection: psycopg.Connection, table: Identifier) -> bool:
    return connection.execute(SQL("SELECT FROM {} LIMIT 1").format(table)).fetchone() is not None


def _state_query(filled: list[Identifier]) -> Composed:
    """Return a query whose one row is another as soon as more than rows and sequences changed.

    Args:
        filled: The tables whose rows are part of the state.
    """
    of_catalogs = [
        SQL("(SELECT (count(*), max(xmin::text::bigint))::text FROM {})").format(Identifier(name))
        for name in _CATALOGS
    ]
    of_rows = [
        SQL("(SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {} t)").format(table)
        for table in filled
    ]
    analyzed = SQL("EXISTS (SELECT FROM pg_statistic WHERE starelid >= {})")
    grown = SQL(
        "EXISTS (SELECT FROM pg_class WHERE relkind = 'r' AND oid >= {}"
        " AND pg_relation_size(oid) > {} * current_setting('block_size')::int)"
    )
    oid = Literal(_FIRST_OID_OF_USERS)
    others = [analyzed.format(oid), grown.format(oid, Literal(_PAGES_UNNOTICED))]
    return SQL("SELECT {}").format(SQL(", ").join([*of_catalogs, *of_rows, *others]))


def _cleaning(connection: psycopg.Connection, empty: list[Identifier]) -> Composed:
    """Return the statements that empty tables and set the sequences to where they are now."""
    deletes = [SQL("DELETE FROM {}").format(table) for table in empty]
    sequences = connection.execute(
        "SELECT seqrelid::bigint, coalesce(pg_sequence_last_value(seqrelid), seqstart),"
        " pg_sequence_last_value(seqrelid) IS NOT NULL FROM pg_sequence WHERE seqrelid >= %s",
        [_FIRST_OID_OF_USERS],
    )
    # A copy's objects have the oids of the template's.
    settings = [
        SQL("SELECT setval({}::regclass, {}, {})").format(*map(Literal, sequence))
        for sequence in sequences
    ]
    return SQL("; ").join([*deletes, *settings])
