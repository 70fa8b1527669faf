"""Why Postgres cannot be used, in words, and whether trying again may help."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from parley import retry
from parley.errors import StoreUnavailable
from parley.repository import connection
from parley.repository.database import Database
from parley.repository.diagnosis import Diagnosis, diagnose
from parley.repository.scope import SERVICE, OfUser
from parley.testing.postgres import database_name
from parley_local.postgres import EmbeddedPostgres
from parley_testing.postgres.databases import owner_url, without_idle_limit
from parley_testing.waiting import HANG_SECONDS

PASSWORD = "c0rrect-h0rse"


def of(url: str) -> Diagnosis:
    """Connect and give the diagnosis of what comes of it."""
    database = Database(lambda: url, statement_timeout=10, as_owner=True)
    try:
        database.run_once(SERVICE, text("SELECT 1"))
    except StoreUnavailable as error:
        diagnosis = diagnose(error)
        assert PASSWORD not in diagnosis.sentence
        return diagnosis
    finally:
        database.close()
    raise AssertionError("it could be connected to")


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A server that asks the user `guarded` for a password; gives where its socket is."""
    directory = Path(tempfile.mkdtemp(prefix="parley-test-"))
    with EmbeddedPostgres(directory / "data", directory / "log") as server:
        with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as sql:
            sql.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
            hba = directory / "data" / "pg_hba.conf"
            hba.write_text("local all guarded scram-sha-256\n" + hba.read_text())
            sql.execute("SELECT pg_reload_conf()")
        yield server.url().partition("?")[2]
    shutil.rmtree(directory)


@contextmanager
def saying(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """A server on loopback that answers the first message, and gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # closed: the test is over
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.sendall(answer(client.recv(4096)))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def refusing(message: str, state: str = "28000") -> AbstractContextManager[str]:
    """A server that ends each start-up with an error."""
    fields = f"SFATAL\0VFATAL\0C{state}\0M{message}\0\0".encode()
    return saying(lambda _: b"E" + (len(fields) + 4).to_bytes(4) + fields)


def test_a_password_that_is_refused(guarded: str) -> None:
    said = of(f"postgresql://guarded:wrong-{PASSWORD}@/parley?{guarded}")

    assert "refused the password" in said.sentence
    assert said.lasts


def test_a_database_that_is_missing(guarded: str) -> None:
    said = of(f"postgresql://guarded:{PASSWORD}@/elsewhere?{guarded}")

    assert "database that the secret names does not exist" in said.sentence
    assert said.lasts


def test_a_user_who_is_missing(guarded: str) -> None:
    said = of(f"postgresql://nobody:{PASSWORD}@/parley?{guarded}")

    assert "does not know the user" in said.sentence
    assert said.lasts


def test_a_port_that_is_closed_may_be_opened() -> None:
    said = of(f"postgresql://parley:{PASSWORD}@127.0.0.1:1/parley")

    assert "Nothing listens" in said.sentence
    assert not said.lasts


@pytest.mark.parametrize(
    ("error", "words", "lasts"),
    [
        (socket.EAI_NONAME, "No host of the name", True),
        (socket.EAI_AGAIN, "cannot be looked up just now", False),
    ],
)
def test_a_host_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, error: int, words: str, lasts: bool
) -> None:
    texts = {
        socket.EAI_NONAME: "Name or service not known",
        socket.EAI_AGAIN: "Temporary failure in name resolution",
    }

    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(error, texts[error])  # as the resolver says it, without a network

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    said = of(f"postgresql://parley:{PASSWORD}@db.example.com/parley")

    assert words in said.sentence
    assert said.lasts == lasts


def test_a_server_without_tls() -> None:
    with saying(lambda _: b"N") as address:
        said = of(f"postgresql://parley:{PASSWORD}@{address}/parley?sslmode=require")

    assert "takes no encrypted connections" in said.sentence
    assert said.lasts


@pytest.mark.parametrize(
    ("message", "words", "lasts"),
    [
        (
            'no pg_hba.conf entry for host "10.0.0.9", user "parley", database "parley", no'
            " encryption",
            "encrypted connections only",
            True,
        ),
        ("connection is insecure (try using `sslmode=require`)", "encrypted", True),
        ("unsupported startup parameter: options", "pooler refuses", True),
        ("the database system is starting up", "starting", False),
        ("sorry, too many clients already", "connections are taken", False),
        ("la base de données dort", "la base de données dort", False),
    ],
)
def test_what_a_server_says_at_the_start(message: str, words: str, lasts: bool) -> None:
    with refusing(message) as address:
        said = of(f"postgresql://parley:{PASSWORD}@{address}/parley?sslmode=disable")

    assert words in said.sentence
    assert said.lasts == lasts


def test_a_user_who_may_not_make_tables(sql: psycopg.Connection, database_url: str) -> None:
    role = f"{database_name(database_url)}_reader"
    sql.execute(f"CREATE ROLE {role} LOGIN")
    url = owner_url(database_url).replace("postgres@", f"{role}@")
    database = Database(lambda: url, statement_timeout=10, as_owner=True)

    with pytest.raises(Exception, match="permission denied") as refused:
        database.run(SERVICE, text("CREATE TABLE own (id int)"))

    said = diagnose(refused.value)
    assert "GRANT CREATE ON SCHEMA public" in said.sentence
    assert said.lasts
    database.close()
    sql.execute(f"DROP ROLE {role}")


def test_a_lock_that_was_not_to_be_had_may_be_free_later(
    monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection, database_url: str
) -> None:
    monkeypatch.setattr(retry, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "_ANSWER_SECONDS", HANG_SECONDS)
    database = Database(lambda: without_idle_limit(database_url), statement_timeout=0.1)
    with sql.transaction():
        sql.execute("LOCK TABLE tasks")

        with pytest.raises(StoreUnavailable) as refused:
            database.run(OfUser("alice"), text("SELECT count(*) FROM tasks"))

    said = diagnose(refused.value)
    assert "keeps a table locked" in said.sentence
    assert not said.lasts
    database.close()


def test_other_stores_speak_for_themselves() -> None:
    assert diagnose(StoreUnavailable("secrets", "arn: denied")).sentence == "secrets: arn: denied"
