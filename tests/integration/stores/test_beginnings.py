"""What a transaction begins with goes out together with its first statement, whatever that is."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Connection, Row, column, table, text
from sqlalchemy.exc import DBAPIError

from parley.errors import StoreUnavailable
from parley.repository.database import Database
from parley.repository.scope import OfSession, OfUser
from parley_testing.postgres.postgres_wire import PostgresWire

ALICE = OfUser("alice")
WHO = text("SELECT current_setting('parley.user'), current_setting('transaction_isolation')")
NOTES = table("notes", column("number"))


@pytest.fixture
def wired(wire: PostgresWire) -> Iterator[Database]:
    database = Database(lambda: wire.url, statement_timeout=10, pool_size=1)
    database.run(ALICE, text("SELECT 1"))  # there is a connection
    wire.reset()
    yield database
    database.close()


@pytest.fixture
def notes(sql: psycopg.Connection) -> psycopg.Connection:
    sql.execute("CREATE TABLE notes (number integer CHECK (number < 10))")
    sql.execute("GRANT ALL ON notes TO PUBLIC")
    return sql


def rows(given: Sequence[Row[Any]]) -> list[tuple[Any, ...]]:
    """Return rows as they are compared."""
    return [tuple(row) for row in given]


def test_a_statement_by_itself_takes_one_round_trip(wire: PostgresWire, wired: Database) -> None:
    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]
    assert wire.round_trips == 1, wire.statements


def test_a_transaction_takes_one_for_each_statement_and_one_to_commit(
    wire: PostgresWire, wired: Database
) -> None:
    with wired.transaction(ALICE) as connection:
        assert rows(connection.execute(WHO).all()) == [("alice", "read committed")]
        assert rows(connection.execute(WHO).all()) == [("alice", "read committed")]

    assert wire.round_trips == 3, wire.statements
    assert wire.statements[0].startswith("BEGIN")
    assert wire.statements[-1] == "COMMIT"


def test_who_is_to_go_on_alone_takes_no_more(wire: PostgresWire, wired: Database) -> None:
    alone = OfUser("alice", alone=True, rows_alone=True)
    locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")

    assert rows(wired.run(alone, locks)) == [(2,)]
    assert rows(wired.run(OfSession(uuid4()), WHO)) == [("", "read committed")]

    assert wire.round_trips == 2, wire.statements


@pytest.mark.parametrize("whole", [True, False])
def test_many_rows_may_come_first(
    wire: PostgresWire, wired: Database, notes: psycopg.Connection, whole: bool
) -> None:
    numbers = [{"number": number} for number in range(9)]

    def insert(connection: Connection) -> int:
        return connection.execute(text("INSERT INTO notes VALUES (:number)"), numbers).rowcount

    if whole:
        with wired.transaction(ALICE) as connection:
            assert insert(connection) == 9
    else:
        assert wired.read(ALICE, insert) == 9

    assert wire.round_trips == 1 + whole, wire.statements
    assert notes.execute("SELECT count(*), sum(number) FROM notes").fetchone() == (9, 36)


@pytest.mark.parametrize("whole", [True, False])
def test_of_many_rows_none_is_there_if_one_is_refused(
    wired: Database, notes: psycopg.Connection, whole: bool
) -> None:
    numbers = [{"number": number} for number in (1, 2, 11, 3)]

    def insert(connection: Connection) -> None:
        connection.execute(text("INSERT INTO notes VALUES (:number)"), numbers)

    def insert_whole() -> None:
        with wired.transaction(ALICE) as connection:
            insert(connection)

    with pytest.raises(DBAPIError, match="notes_number_check"):
        insert_whole() if whole else wired.read(ALICE, insert)

    assert notes.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]


def test_rows_of_many_come_back_in_their_order(wired: Database, notes: psycopg.Connection) -> None:
    inserting = NOTES.insert().returning(NOTES.c.number, sort_by_parameter_order=False)

    with wired.transaction(ALICE) as connection:
        given = connection.execute(inserting, [{"number": n} for n in range(5)]).all()

    assert [number for (number,) in given] == list(range(5))


def test_a_first_statement_that_is_refused_ends_its_transaction_and_no_other(
    wired: Database,
) -> None:
    with (
        pytest.raises(DBAPIError, match="division by zero"),
        wired.transaction(ALICE) as connection,
    ):
        connection.execute(text("SELECT 1 / 0"))
    with pytest.raises(DBAPIError, match="division by zero"):
        wired.run(ALICE, text("SELECT 1 / 0"))

    assert rows(wired.run(OfUser("bob"), WHO)) == [("bob", "read committed")]


def test_what_is_refused_at_the_commit_is_told(wired: Database, notes: psycopg.Connection) -> None:
    notes.execute("ALTER TABLE notes ADD UNIQUE (number) DEFERRABLE INITIALLY DEFERRED")

    with pytest.raises(DBAPIError, match="notes_number_key"):
        wired.run(ALICE, text("INSERT INTO notes VALUES (1), (1)"))

    assert notes.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]


def test_a_setting_that_is_refused_is_told_and_not_what_came_behind_it(wired: Database) -> None:
    with wired.transaction(ALICE) as connection:
        driver: Any = connection.connection.driver_connection
        settings = driver.beginning
        driver.beginning = [b"SET transaction_isolation = 'none'", *settings[1:]]
        with pytest.raises(DBAPIError, match="transaction_isolation"):
            connection.execute(WHO)
        driver.beginning = settings

    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]


@pytest.mark.parametrize("user", ["alice\0", "\0", "al\0ice"])
def test_nobody_is_taken_for_who_the_name_only_begins_with(wired: Database, user: str) -> None:
    with pytest.raises(DBAPIError, match="NUL"):
        wired.run(OfUser(user), WHO)

    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("value", "refused"),
    [("a\0b", DBAPIError), ("\ud800", UnicodeEncodeError), (object(), DBAPIError)],
)
def test_a_value_that_cannot_be_sent_is_told_and_costs_no_connection(
    wire: PostgresWire, wired: Database, value: object, refused: type[Exception], whole: bool
) -> None:
    """It is a mistake of the statement's, which no other try would mend."""
    asked = text("SELECT CAST(:value AS text), pg_backend_pid()")
    [(_, server)] = rows(wired.run(ALICE, asked, {"value": ""}))
    wire.reset()

    def ask(values: dict[str, object]) -> None:
        with wired.transaction(ALICE) as connection:
            connection.execute(asked, values)

    with pytest.raises(refused):
        ask({"value": value}) if whole else wired.run(ALICE, asked, {"value": value})

    assert wire.round_trips == 0, wire.statements
    assert rows(wired.run(ALICE, asked, {"value": "x"})) == [("x", server)]


def test_of_many_rows_none_is_sent_if_one_cannot_be(
    wire: PostgresWire, wired: Database, notes: psycopg.Connection
) -> None:
    numbers: list[dict[str, object]] = [{"number": 1}, {"number": object()}]

    with pytest.raises(DBAPIError, match="cannot adapt"), wired.transaction(ALICE) as connection:
        connection.execute(text("INSERT INTO notes VALUES (:number)"), numbers)

    assert wire.round_trips == 0, wire.statements


@pytest.mark.parametrize("copy", ["COPY notes TO STDOUT", "COPY notes FROM STDIN"])
def test_a_copy_that_is_executed_is_refused_and_waited_for_no_longer(
    wired: Database, notes: psycopg.Connection, copy: str
) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        wired.run_once(ALICE, text(copy))

    assert "copy()" in str(refused.value.__cause__)
    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]


@pytest.mark.parametrize("text_", ["x" * 3_000_000, "ü" * 1_000_000])
def test_what_is_larger_than_any_buffer_goes_and_comes_whole(wired: Database, text_: str) -> None:
    asked = text("SELECT CAST(:text AS text) FROM generate_series(1, 3)")

    assert rows(wired.run(ALICE, asked, {"text": text_})) == [(text_,)] * 3


def test_an_end_of_the_connection_is_told_by_postgres_s_own_words(
    wired: Database, sql: psycopg.Connection
) -> None:
    ended = text("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)")

    with pytest.raises(StoreUnavailable, match="57P01"):
        wired.run_once(ALICE, ended)

    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]


def test_a_statement_that_is_broken_off_is_not_answered_to_the_next(wired: Database) -> None:
    """As by Ctrl-C."""
    with wired.transaction(ALICE) as connection:
        driver: Any = connection.connection.driver_connection

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, break_off)
    waiting = threading.Thread(target=_break_off_when_busy, args=(driver,))
    waiting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            wired.run_once(ALICE, text("SELECT pg_sleep(9), 'late'"))
    finally:
        waiting.join()
        signal.signal(signal.SIGUSR1, before)

    assert rows(wired.run(ALICE, WHO)) == [("alice", "read committed")]


def _break_off_when_busy(driver: Any) -> None:
    while driver.pgconn.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
        time.sleep(0.001)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def test_each_of_these_statements_was_sent_once(wire: PostgresWire, wired: Database) -> None:
    wired.run(ALICE, WHO)

    isolation, settings, statement = wire.statements
    assert isolation == "SET transaction_isolation = 'read committed'"
    assert re.match(r"SELECT set_config\(.*set_config\('parley.user', \$1, true\)$", settings)
    assert statement == str(WHO)
