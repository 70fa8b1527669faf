"""A database in which Parley itself kept tasks: the project's first migration takes them over."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from parley.fingerprints import fingerprint
from parley_local.postgres import EmbeddedPostgres
from parley_testing.api.handlers import Api, load_function
from parley_testing.api.problems import problem
from parley_testing.postgres.databases import connect, runtime_url
from parley_testing.postgres.older_schema import migrate_as_before

MILK = fingerprint("task", title="milk", notes=None, due_at=None)
EGGS = fingerprint("task", title="eggs", notes=None, due_at=None)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of Parley's own tasks, where bob has one and the key of a deleted one."""
    name = f"before_{uuid4().hex}"
    postgres.create_database(name)
    url = postgres.url(name)
    migrate_as_before(url)
    with connect(url) as sql:
        sql.execute(
            "INSERT INTO tasks (id, user_id, title, idempotency_key, fingerprint)"
            " VALUES (gen_random_uuid(), 'bob', 'milk', 'milk-key', %s)",
            [bytes(MILK)],
        )
        sql.execute(
            "INSERT INTO idempotency_tombstones VALUES"
            " ('bob', 'task', 'eggs-key', %s, now() + interval '1 hour'),"
            " ('bob', 'turn', 'turn-key', '', now() + interval '1 hour')",
            [bytes(EGGS)],
        )
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DATABASE_RUNTIME_URL", runtime_url(url))
    load_function("migrate").handler({"action": "migrate"}, None)
    return runtime_url(url)


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url) as connection:
        yield connection


def test_what_was_kept_is_still_there_and_keys_are_still_good(
    api: Api, sql: psycopg.Connection
) -> None:
    def make(title: str, key: str) -> int:
        headers = {"Idempotency-Key": key}
        return api("POST", "/tasks", {"title": title}, user="bob", headers=headers).status

    (milk,) = api("GET", "/tasks", user="bob").json["items"]
    assert milk["title"] == "milk"
    assert make("milk", "milk-key") == 200
    assert make("eggs", "eggs-key") == 404
    assert make("bread", "turn-key") == 201
    assert sql.execute("SELECT idempotency_key FROM deleted_task_keys").fetchall() == [
        ("eggs-key",)
    ]


def test_a_stranger_sees_none_of_it(api: Api) -> None:
    (milk,) = api("GET", "/tasks", user="bob").json["items"]

    assert api("GET", "/tasks", user="eve").json["items"] == []
    problem(api("GET", f"/tasks/{milk['id']}", user="eve"), 404, "not_found")
