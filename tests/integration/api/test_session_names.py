"""A session's name: unique for its user only, and asking for it again gives the same session."""

from __future__ import annotations

import psycopg
import pytest

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.sessions import SessionRepository
from parley_testing.api.handlers import Api
from parley_testing.scenarios.at_once import at_once


def create(database: Database, user: str, *, name: str | None, key: str | None = None) -> str:
    row, _ = SessionRepository(database).create(
        new_id(),
        user,
        agent="todo",
        name=name,
        platform="api",
        metadata={},
        idempotency_key=key,
        fingerprint=b"the same",
    )
    return str(row.id)


def test_a_name_that_is_there_gives_its_session_as_it_is(api: Api) -> None:
    first = api("POST", "/sessions", {"name": "groceries", "metadata": {"of": "the first"}})

    again = api("POST", "/sessions", {"name": "groceries", "metadata": {"of": "the second"}})

    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json
    assert again.headers["location"] == first.headers["location"]


def test_two_users_have_a_session_each_of_one_name(api: Api) -> None:
    alices = api("POST", "/sessions", {"name": "groceries"}, user="alice")
    bobs = api("POST", "/sessions", {"name": "groceries"}, user="bob")

    assert (alices.status, bobs.status) == (201, 201)
    assert alices.json["id"] != bobs.json["id"]


def test_names_that_differ_in_case_or_spaces_are_different(api: Api) -> None:
    ids = {api.new_session(name=name) for name in ("milk", "Milk", "milk ", "mílk")}

    assert len(ids) == 4


def test_sessions_without_a_name_are_never_the_same(api: Api) -> None:
    assert api.new_session() != api.new_session()


def test_the_name_of_a_deleted_session_is_free(api: Api) -> None:
    first = api.new_session(name="groceries")
    api("DELETE", f"/sessions/{first}")

    again = api("POST", "/sessions", {"name": "groceries"})

    assert again.status == 201
    assert again.json["id"] != first


@pytest.mark.parametrize("key", [None, "k"])
def test_twenty_at_once_get_one_session_of_a_name(
    database_url: str, sql: psycopg.Connection, key: str | None
) -> None:
    ids = at_once(
        database_url, 20, lambda database, _: create(database, "alice", name="n", key=key)
    )

    assert len(set(ids)) == 1
    assert sql.execute("SELECT id::text FROM sessions").fetchall() == [(ids[0],)]


def test_twenty_users_at_once_get_a_session_each(database_url: str) -> None:
    ids = at_once(
        database_url, 20, lambda database, number: create(database, f"user-{number}", name="n")
    )

    assert len(set(ids)) == 20


def test_twenty_at_once_get_the_one_session_of_a_key(
    database_url: str, sql: psycopg.Connection
) -> None:
    with_no_name = {
        at_once(database_url, 1, lambda database, _: create(database, "alice", name=None))[0]
        for _ in range(3)
    }

    ids = at_once(
        database_url, 20, lambda database, _: create(database, "alice", name=None, key="k")
    )

    assert len(set(ids)) == 1
    assert not with_no_name & set(ids)
    made = sql.execute("SELECT id::text FROM sessions WHERE idempotency_key = 'k'").fetchall()
    assert made == [(ids[0],)]
