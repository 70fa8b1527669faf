"""Idempotency-Key on POST /sessions."""

from __future__ import annotations

from typing import Any

import psycopg

from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import problem, wrong_fields


def create(api: Api, fields: dict[str, Any], key: str = "k", user: str = "alice") -> Answer:
    return api("POST", "/sessions", fields, user=user, headers={"Idempotency-Key": key})


def test_the_same_key_gives_the_session_that_it_made(api: Api) -> None:
    fields = {"platform": "web", "metadata": {"a": 1, "b": 2}}
    first = create(api, fields)

    again = create(api, {"metadata": {"a": 1, "b": 2}, "platform": "web", "name": None})

    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json


def test_the_same_key_with_other_fields_is_refused(api: Api, sql: psycopg.Connection) -> None:
    create(api, {"platform": "web"})

    for fields in ({}, {"platform": "cli"}, {"platform": "web", "name": "n"}):
        problem(create(api, fields), 422, "idempotency_key_reused")
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_another_key_makes_another_session(api: Api) -> None:
    assert create(api, {}, "one").json["id"] != create(api, {}, "two").json["id"]


def test_another_users_key_is_another(api: Api) -> None:
    alices, bobs = create(api, {}, user="alice"), create(api, {}, user="bob")

    assert (alices.status, bobs.status) == (201, 201)
    assert alices.json["id"] != bobs.json["id"]


def test_the_key_gives_the_session_as_it_is_now(api: Api) -> None:
    made = create(api, {"name": "groceries"}).json
    api("PATCH", f"/sessions/{made['id']}", {"name": "shopping"})

    again = create(api, {"name": "groceries"})

    assert (again.status, again.json["id"], again.json["name"]) == (200, made["id"], "shopping")


def test_the_key_of_a_deleted_session_makes_no_other(api: Api, sql: psycopg.Connection) -> None:
    made = create(api, {"name": "groceries"}).json
    api("DELETE", f"/sessions/{made['id']}")

    problem(create(api, {"name": "groceries"}), 404, "not_found")
    problem(create(api, {"name": "other"}), 422, "idempotency_key_reused")
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_the_key_of_a_deleted_session_is_free_after_its_day(
    api: Api, sql: psycopg.Connection
) -> None:
    made = create(api, {}).json
    api("DELETE", f"/sessions/{made['id']}")
    sql.execute("UPDATE idempotency_tombstones SET expires_at = now()")

    assert create(api, {}).status == 201


def test_a_key_is_up_to_255_visible_ascii_characters(api: Api) -> None:
    assert create(api, {}, "!~" + "k" * 253).status == 201
    for key in ("", "k" * 256, "a key", "schlüssel", "k\t"):
        assert wrong_fields(create(api, {}, key)) == ["idempotency-key"], key


def test_the_headers_name_is_the_same_in_any_case(api: Api) -> None:
    first = api("POST", "/sessions", {}, headers={"idempotency-key": "k"})

    assert create(api, {}).json == first.json
