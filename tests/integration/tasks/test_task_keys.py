"""Idempotency-Key on POST /tasks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg

from parley.http import Fingerprint
from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import problem, wrong_fields
from parley_testing.scenarios.at_once import at_once
from tasks_desk import tasks


def create(api: Api, fields: dict[str, Any], key: str = "k", user: str = "alice") -> Answer:
    return api("POST", "/tasks", fields, user=user, headers={"Idempotency-Key": key})


def count(sql: psycopg.Connection) -> int:
    return sql.execute("SELECT FROM tasks").rowcount


def test_the_same_key_gives_the_task_that_it_made(api: Api, sql: psycopg.Connection) -> None:
    first = create(api, {"title": "buy milk", "notes": None})

    again = create(api, {"title": "buy milk"})

    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert count(sql) == 1


def test_the_same_key_with_other_fields_is_refused(api: Api, sql: psycopg.Connection) -> None:
    create(api, {"title": "buy milk"})

    for fields in ({"title": "buy bread"}, {"title": "buy milk", "notes": "n"}):
        problem(create(api, fields), 422, "idempotency_key_reused")
    assert count(sql) == 1


def test_without_a_key_or_with_another_each_is_a_task_of_its_own(
    api: Api, sql: psycopg.Connection
) -> None:
    for _ in range(2):
        assert api("POST", "/tasks", {"title": "t"}).status == 201
    for key in ("one", "two"):
        assert create(api, {"title": "t"}, key).status == 201

    assert count(sql) == 4


def test_another_users_key_is_another(api: Api) -> None:
    alices, bobs = (create(api, {"title": "t"}, user=user) for user in ("alice", "bob"))

    assert (alices.status, bobs.status) == (201, 201)
    assert alices.json["id"] != bobs.json["id"]


def test_a_sessions_key_is_another(api: Api) -> None:
    api("POST", "/sessions", {}, headers={"Idempotency-Key": "k"})

    assert create(api, {"title": "t"}).status == 201


def test_the_key_gives_the_task_as_it_is_now(api: Api) -> None:
    made = create(api, {"title": "buy milk"}).json
    changed = api("PATCH", f"/tasks/{made['id']}", {"completed": True, "title": "bought"}).json

    assert create(api, {"title": "buy milk"}).json == changed


def test_the_key_of_a_deleted_task_makes_no_other(api: Api, sql: psycopg.Connection) -> None:
    made = create(api, {"title": "buy milk"}).json
    api("DELETE", f"/tasks/{made['id']}")

    problem(create(api, {"title": "buy milk"}), 404, "not_found")
    problem(create(api, {"title": "other"}), 422, "idempotency_key_reused")
    assert create(api, {"title": "buy milk"}, user="bob").status == 201
    kept = sql.execute(
        "SELECT user_id, idempotency_key,"
        " expires_at BETWEEN now() + interval '23 hours' AND now() + interval '24 hours'"
        " FROM deleted_task_keys"
    )
    assert kept.fetchall() == [("alice", "k", True)]


def test_the_key_of_a_task_that_the_agent_deleted_makes_no_other(api: Api) -> None:
    create(api, {"title": "buy milk"})

    sent = api("POST", "/messages", {"text": "delete milk"})

    assert "Deleted" in sent.json["reply"]["content"]
    problem(create(api, {"title": "buy milk"}), 404, "not_found")


def test_the_key_of_a_deleted_task_is_free_after_its_day(api: Api, sql: psycopg.Connection) -> None:
    made = create(api, {"title": "t"}).json
    api("DELETE", f"/tasks/{made['id']}")
    sql.execute("UPDATE deleted_task_keys SET expires_at = now()")

    again = create(api, {"title": "t"})

    assert again.status == 201
    assert api("DELETE", f"/tasks/{again.json['id']}").status == 204
    problem(create(api, {"title": "t"}), 404, "not_found")


def test_a_key_that_nobody_may_use_again_goes_with_the_next_deletion(
    api: Api, sql: psycopg.Connection
) -> None:
    for user in ("alice", "bob"):
        made = create(api, {"title": "t"}, user=user).json
        api("DELETE", f"/tasks/{made['id']}", user=user)
    sql.execute("UPDATE deleted_task_keys SET expires_at = now()")
    made = api("POST", "/tasks", {"title": "other"}).json

    api("DELETE", f"/tasks/{made['id']}")

    assert sql.execute("SELECT user_id FROM deleted_task_keys").fetchall() == [("bob",)]


def test_a_task_older_than_a_day_leaves_no_key(api: Api, sql: psycopg.Connection) -> None:
    made = create(api, {"title": "t"}).json
    sql.execute("UPDATE tasks SET created_at = created_at - interval '1 day'")

    api("DELETE", f"/tasks/{made['id']}")

    assert sql.execute("SELECT FROM deleted_task_keys").rowcount == 0


def test_a_key_that_cannot_be_taken_is_named(api: Api) -> None:
    for key in ("", "k" * 256, "a key"):
        assert wrong_fields(create(api, {"title": "t"}, key)) == ["idempotency-key"], key


def test_of_twenty_at_once_with_one_key_one_makes_the_task_and_all_get_it(
    database_url: str, sql: psycopg.Connection
) -> None:
    def create(database: Database, _: int) -> tuple[str, bool]:
        row, made = database.read(
            OfUser("alice"),
            lambda connection: tasks.create(
                connection, new_id(), "alice", title="t", notes=None, due_at=None,
                idempotency_key="k", fingerprint=Fingerprint(b"the same"),
            ),
        )  # fmt: skip
        return str(row.id), made

    given = at_once(database_url, 20, create)

    assert len({task_id for task_id, _ in given}) == 1
    assert Counter(made for _, made in given) == {True: 1, False: 19}
    assert count(sql) == 1


def test_a_creation_whose_answer_was_lost_counts_as_made(
    database: Database, sql: psycopg.Connection
) -> None:
    task_id = new_id()

    for key in (None, None, "k"):
        row, made = database.read(
            OfUser("alice"),
            lambda connection, key=key: tasks.create(  # type: ignore[misc]
                connection, task_id, "alice", title="t", notes=None, due_at=None,
                idempotency_key=key, fingerprint=Fingerprint(b"the same"),
            ),
        )  # fmt: skip
        assert (row.id, made) == (task_id, True)
    assert count(sql) == 1
