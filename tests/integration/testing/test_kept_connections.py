"""Who is given a kept connection cannot tell it from a new one, and some are never kept."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from sqlalchemy import text

from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.testing.postgres import database_name
from parley_local.postgres import RUNTIME_ROLE, EmbeddedPostgres
from parley_testing.postgres.databases import DatabasePool, connect, name_of, owner_url
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.waiting import wait_for

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def pool(postgres: EmbeddedPostgres) -> Iterator[DatabasePool]:
    """A pool of its own: what happens to the connections of one concerns no other test."""
    postgres.create_database("kept_template")
    with connect(postgres.url("kept_template")) as sql:
        sql.execute("CREATE TABLE notes (text text); CREATE SEQUENCE numbers")
        sql.execute("GRANT ALL ON notes TO PUBLIC")
    with closing(DatabasePool(postgres, "kept_template")) as pool:
        yield pool


@pytest.fixture
def url(pool: DatabasePool) -> Iterator[str]:
    with pool.lend() as url:
        yield url


@pytest.fixture
def other(url: str) -> Iterator[Connection]:
    """A connection that stays open meanwhile."""
    with connect(url) as connection:
        yield connection


def server_of(connection: Connection) -> int:
    return connection.info.backend_pid


def opened(url: str) -> int:
    """Open a connection, close it and return which process of the server's it was."""
    with connect(url) as connection:
        return server_of(connection)


def is_over(server: int, other: Connection) -> None:
    """Wait until a process of the server's has ended."""
    asked = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    wait_for(lambda: other.execute(asked, [server]).fetchone() is None)


USER = "SELECT current_setting('parley.user', true)"
LEAVINGS = {
    "a setting": ("SET work_mem = 64", "SHOW work_mem"),
    "a search path": ("SET search_path = nowhere", "SELECT count(*) FROM notes"),
    "a role": (f"SET ROLE {RUNTIME_ROLE}", "SELECT current_user"),
    "another user": (f"SET SESSION AUTHORIZATION {RUNTIME_ROLE}", "SELECT session_user"),
    "an encoding": ("SET client_encoding = latin1", "SHOW client_encoding"),
    "an isolation": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "INSERT INTO notes VALUES ('') RETURNING text",
    ),
    "a user": ("SELECT set_config('parley.user', 'a', false)", USER),
    "a user of then": ("SELECT set_config('parley.user', 'a', true)", USER),
    "a table": ("CREATE TEMP TABLE notes AS SELECT 'mine' AS text", "TABLE notes"),
    "a statement": ("PREPARE mine AS SELECT 1", "SELECT name FROM pg_prepared_statements"),
    "a cursor": ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT name FROM pg_cursors"),
    "a lock": ("SELECT pg_advisory_lock(1)", "SELECT FROM pg_locks WHERE locktype = 'advisory'"),
    "a channel": ("LISTEN news", "SELECT * FROM pg_listening_channels()"),
    "a number": ("SELECT nextval('numbers')", "SELECT lastval()"),
}  # fmt: skip


def found(connection: Connection, statement: str) -> object:
    """Return what a statement gives, or is refused with."""
    try:
        return connection.execute(statement.encode()).fetchall()
    except psycopg.Error as error:
        return type(error)


@pytest.mark.parametrize("left", LEAVINGS)
def test_nothing_is_left_of_the_last_use(left: str, url: str, other: Connection) -> None:
    leave, look = LEAVINGS[left]
    with connect(url) as first:
        fresh = found(first, look)
    other.execute("DELETE FROM notes")
    with connect(url) as second:
        second.execute(leave.encode())

    with connect(url) as third:
        assert found(third, look) == fresh


def test_it_is_the_same_one(url: str) -> None:
    first = opened(url)

    with connect(url) as again, connect(url) as another:
        assert server_of(again) == first
        assert server_of(another) != first


def test_a_notification_that_had_come_is_not_told_to_the_next(url: str, other: Connection) -> None:
    with connect(url) as first:
        first.execute("LISTEN news")
        other.execute("NOTIFY news")
        select.select([first], [], [])
        first.execute("SELECT 1")  # reads it, and keeps it for who asks

    with connect(url) as second:
        assert list(second.notifies(timeout=0)) == []


def test_what_psycopg_knows_of_it_is_new(url: str) -> None:
    with connect(url) as first:
        first.row_factory = dict_row  # type: ignore[assignment]
        first.prepare_threshold = 0
        first.adapters.register_loader("int4", psycopg.types.string.TextLoader)
        first.add_notice_handler(lambda _: pytest.fail("somebody else's"))
        first.execute("SELECT 1")

    with connect(url) as second:
        assert second.execute("SELECT 1").fetchone() == (1,)
        second.execute("DO $$ BEGIN RAISE NOTICE 'for nobody'; END $$")


def test_who_closed_it_has_it_no_more(url: str) -> None:
    first = connect(url)
    cursor = first.execute("SELECT 1")
    first.close()

    with connect(url) as second:
        assert first.closed
        for use in (
            lambda: first.execute("SELECT 1"),
            lambda: cursor.execute("SELECT 1"),
            lambda: first.pgconn.exec_(b"SELECT 1"),
            first.cursor,
            first.rollback,
        ):
            with pytest.raises(psycopg.OperationalError, match="closed"):
                use()
        first.close()
        assert second.execute("SELECT 2").fetchone() == (2,)


def in_a_transaction(connection: Connection) -> None:
    connection.execute("BEGIN; INSERT INTO notes VALUES ('left')")


def in_a_failed_one(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("BEGIN; INSERT INTO notes VALUES ('left'); TABLE nothing")


def copying(connection: Connection) -> None:
    connection.execute("BEGIN; INSERT INTO notes VALUES ('left')")
    connection.pgconn.exec_(b"COPY notes FROM STDIN")


def in_a_pipeline(connection: Connection) -> None:
    connection.pgconn.enter_pipeline_mode()
    connection.pgconn.send_query_params(b"BEGIN", None)
    connection.pgconn.send_query_params(b"INSERT INTO notes VALUES ('left')", None)


@pytest.mark.parametrize("leave", [in_a_transaction, in_a_failed_one, copying, in_a_pipeline])
def test_one_that_is_closed_in_the_middle_of_something_is_really_closed(
    leave: Callable[[Connection], None], url: str, other: Connection
) -> None:
    first = connect(url)
    server = server_of(first)
    leave(first)

    first.close()

    is_over(server, other)
    with connect(url) as second:
        assert second.execute("SELECT * FROM notes").fetchall() == []


def test_one_that_the_server_ended_is_not_given_to_anybody(url: str, other: Connection) -> None:
    first = opened(url)
    other.execute("SELECT pg_terminate_backend(%s)", [first])

    with connect(url) as second:
        assert server_of(second) != first
        assert second.execute("SELECT 1").fetchone() == (1,)


CHANGES = {
    "the database's settings": "ALTER DATABASE {database} SET work_mem = 64",
    "the login's settings": "ALTER ROLE {login} IN DATABASE {database} SET work_mem = 64",
    "the login's rights": "ALTER ROLE {login} CONNECTION LIMIT 50",
    "its groups": "GRANT pg_monitor TO {login}",
    "the database's rights": "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
    "the server's settings": "SELECT pg_reload_conf()",
}


@pytest.mark.parametrize("change", CHANGES)
def test_where_new_ones_begin_otherwise_none_is_given_that_was_before(
    change: str, pool: DatabasePool
) -> None:
    with pool.lend() as url, connect(url) as other:
        names = {"database": Identifier(name_of(other)), "login": Identifier("kept_login")}
        other.execute("CREATE ROLE kept_login LOGIN SUPERUSER")
        its_url = owner_url(url).replace("postgres@", "kept_login@")
        first = opened(its_url)
        assert opened(its_url) == first
        loaded = other.execute("SELECT pg_conf_load_time()").fetchone()

        other.execute(SQL(CHANGES[change]).format(**names))

        if "reload" in CHANGES[change]:
            wait_for(lambda: other.execute("SELECT pg_conf_load_time()").fetchone() != loaded)
        assert opened(its_url) != first
        other.execute("DROP OWNED BY kept_login; DROP ROLE kept_login")


def test_one_is_given_only_to_who_opens_it_just_so(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(url)

    assert opened(url.replace("postgres@", f"{RUNTIME_ROLE}@")) == first  # the owner's is opened
    others = [
        psycopg.connect(owner_url(url).replace("+psycopg", "") + more, autocommit=True)
        for more in ("&application_name=a", "&options=-cwork_mem%3D64", "&password=a")
    ]
    monkeypatch.setenv("PGAPPNAME", "b")
    others.append(connect(url))
    servers = [server_of(other) for other in others]
    for other in others:
        other.close()

    assert len({first, *servers}) == 5
    monkeypatch.delenv("PGAPPNAME")
    assert opened(url) == first


def test_parley_s_and_others_are_kept_apart(url: str) -> None:
    """Those of the same login: of Parley's the user was set, which Postgres does not forget."""
    asked = text("SELECT pg_backend_pid()")
    with closing(Database(lambda: url, statement_timeout=10)) as database:
        [(first,)] = database.run(OfUser("alice"), asked)
        database.close()

        with psycopg.connect(url.replace("+psycopg", "")) as plain:
            assert server_of(plain) != first
        assert [tuple(row) for row in database.run(OfUser("bob"), asked)] == [(first,)]


def test_what_goes_over_a_wire_is_opened_and_closed_as_ever(url: str, other: Connection) -> None:
    with PostgresWire(url) as wire:
        first = psycopg.connect(wire.url.replace("+psycopg", ""))
        server = server_of(first)
        first.close()

        is_over(server, other)


def test_another_process_has_none(url: str) -> None:
    first = opened(url)
    reading, writing = os.pipe()

    if (child := os.fork()) == 0:
        try:
            os.write(writing, str(opened(url)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert int(os.read(reading, 100)) != first
    os.close(reading)
    os.close(writing)
    assert opened(url) == first


@pytest.mark.usefixtures("pool")
def test_the_next_use_of_the_database_has_it_under_the_new_name(
    postgres: EmbeddedPostgres,
) -> None:
    # Of the other pool's, one whose connections were just being closed may be free first.
    with closing(DatabasePool(postgres, "kept_template")) as pool:
        with pool.lend() as old:
            first = opened(old)

        with pool.lend() as new:
            assert opened(new) == first
            assert name_of_database(new) == database_name(new) != database_name(old)
            with pytest.raises(psycopg.OperationalError, match="does not exist"):
                connect(old)


def name_of_database(url: str) -> str:
    with connect(url) as connection:
        return name_of(connection)


def test_who_counts_connections_has_a_database_without_any(pool: DatabasePool) -> None:
    with pool.lend() as url:
        opened(url)

    with pool.lend(keeping=False) as url, connect(url) as sql:
        asked = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        assert sql.execute(asked).fetchall() == [(server_of(sql),)]
        server = opened(url)
        is_over(server, sql)


def test_a_database_that_somebody_came_to_while_it_was_renamed_is_not_used_again(
    postgres: EmbeddedPostgres, pool: DatabasePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pool.lend() as old:
        opened(old)
    late: list[Connection] = []
    withdraw = pool._connections.withdrawn

    def come(name: str) -> Any:
        withdrawn = withdraw(name)
        if not late:  # it was free when the pool looked
            late.append(connect(postgres.url(name)))
        return withdrawn

    monkeypatch.setattr(pool._connections, "withdrawn", come)
    with pool.lend() as new, connect(new) as sql:
        assert name_of(sql) != name_of(late[0]), "they are in one database"
    late[0].close()


def test_a_pool_that_is_closed_leaves_none_open(
    postgres: EmbeddedPostgres, url: str, other: Connection
) -> None:
    with closing(DatabasePool(postgres, "kept_template")) as another, another.lend() as its:
        server = opened(its)

    is_over(server, other)
