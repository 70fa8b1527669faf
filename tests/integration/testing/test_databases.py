"""A database that was used is used again only when it is as a new copy would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from parley_local.postgres import EmbeddedPostgres
from parley_testing.postgres.databases import DatabasePool, connect, name_of

_SCHEMA = """
    CREATE TABLE kinds (name text PRIMARY KEY);
    INSERT INTO kinds VALUES ('seeded');
    CREATE TABLE parents (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    CREATE TABLE children (parent_id int NOT NULL REFERENCES parents);
    CREATE SEQUENCE numbers START 5;
    SELECT nextval('numbers');
"""


@pytest.fixture(scope="module")
def template(postgres: EmbeddedPostgres) -> str:
    """A database with rows of its own, keys between its tables and a sequence in use."""
    postgres.create_database("pool_template")
    with connect(postgres.url("pool_template")) as sql:
        sql.execute(_SCHEMA)
    return "pool_template"


@pytest.fixture
def pool(postgres: EmbeddedPostgres, template: str) -> Iterator[DatabasePool]:
    """A pool with nothing in it yet."""
    with closing(DatabasePool(postgres, template)) as pool:
        yield pool


def oid(sql: psycopg.Connection) -> object:
    """Return which database this is, whatever it is called now."""
    return sql.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()


def used(pool: DatabasePool, use: Callable[[psycopg.Connection], object]) -> object:
    """Use a database and return which it was; its connections are closed when this returns."""
    with pool.lend() as url, connect(url) as sql:
        use(sql)
        which, name = oid(sql), name_of(sql)
    nobody_is_connected(pool, name)
    return which


def nobody_is_connected(pool: DatabasePool, name: str) -> None:
    """Wait until the server is done with connections that were closed."""
    while pool.in_use(name):
        pass


def test_rows_and_numbers_are_as_in_a_copy_when_it_is_used_again(pool: DatabasePool) -> None:
    def fill(sql: psycopg.Connection) -> None:
        sql.execute("INSERT INTO parents DEFAULT VALUES")
        sql.execute("INSERT INTO children SELECT id FROM parents")
        sql.execute("SELECT nextval('numbers')")

    first = used(pool, fill)

    with pool.lend() as url, connect(url) as sql:
        assert oid(sql) == first
        assert sql.execute("SELECT * FROM kinds").fetchall() == [("seeded",)]
        assert sql.execute("SELECT * FROM children").fetchall() == []
        made = sql.execute("INSERT INTO parents DEFAULT VALUES RETURNING id").fetchall()
        assert made == [(1,)]
        assert sql.execute("SELECT nextval('numbers')").fetchone() == (6,)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more ()",
        "DROP TABLE children",
        "ALTER TABLE children ALTER parent_id DROP NOT NULL",
        "ALTER TABLE children DROP CONSTRAINT children_parent_id_fkey",
        "ALTER TABLE children ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY nobody ON children USING (false)",
        "CREATE INDEX ON children (parent_id)",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW all_kinds AS SELECT * FROM kinds",
        "CREATE SCHEMA more",
        "CREATE TYPE mood AS ENUM ('good')",
        "GRANT SELECT ON kinds TO public",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public",
        "ALTER SEQUENCE numbers INCREMENT 2",
        "SELECT lo_create(0)",
        "INSERT INTO kinds VALUES ('another')",
        "UPDATE kinds SET name = 'changed'",
        "ANALYZE kinds",
        "INSERT INTO parents SELECT FROM generate_series(1, 5000)",
        "DO $$ BEGIN EXECUTE format("
        "'ALTER DATABASE %I SET work_mem = 64', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format("
        "'REVOKE CONNECT ON DATABASE %I FROM public', current_database()); END $$",
    ],
)
def test_one_in_which_more_than_rows_was_changed_is_not_used_again(
    change: str, pool: DatabasePool
) -> None:
    changed = used(pool, lambda sql: sql.execute(change))

    with pool.lend() as url, connect(url) as sql:
        assert oid(sql) != changed
        assert sql.execute("SELECT * FROM kinds").fetchall() == [("seeded",)]


def test_one_that_nobody_may_connect_to_is_not_used_again(pool: DatabasePool) -> None:
    def shut(sql: psycopg.Connection) -> None:
        with connect(f"postgresql://postgres@/postgres?host={sql.info.host}") as admin:
            name = Identifier(name_of(sql))
            admin.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))

    shut_one = used(pool, shut)

    with pool.lend() as url, connect(url) as sql:
        assert oid(sql) != shut_one


def test_one_that_somebody_is_connected_to_is_not_used_again(pool: DatabasePool) -> None:
    with pool.lend() as url:
        late = connect(url)

    with late, pool.lend() as another, connect(another) as sql:
        assert oid(sql) != oid(late)


def test_who_comes_late_reaches_nothing_under_the_old_name(pool: DatabasePool) -> None:
    used(pool, lambda sql: None)
    with pool.lend() as old, connect(old) as sql:
        name = name_of(sql)

    while name in pool._given_back:  # Postgres connects too, to clean up, and it is left for later
        nobody_is_connected(pool, name)
        with pool.lend() as new:
            assert new != old

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(old)
