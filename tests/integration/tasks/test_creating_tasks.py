"""POST /tasks and what it may be given."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem, wrong_fields

NOBODYS = "01939d5c-2c00-7000-8000-0000000000ff"


def test_a_task_is_made_whole_and_can_be_read_where_it_says(api: Api) -> None:
    fields = {"title": "buy milk", "notes": "two bottles", "due_at": "2026-12-24T19:00:00+01:00"}

    made = api("POST", "/tasks", fields)

    assert made.status == 201
    task = made.json
    assert UUID(task["id"]).version == 7
    assert task == fields | {
        "id": task["id"],
        "due_at": "2026-12-24T18:00:00Z",
        "completed_at": None,
        "created_at": task["created_at"],
        "updated_at": task["created_at"],
    }
    assert made.headers["location"] == f"/tasks/{task['id']}"
    assert api("GET", made.headers["location"]).json == task


def test_only_a_title_is_needed(api: Api) -> None:
    task = api("POST", "/tasks", {"title": "buy milk"}).json

    assert (task["notes"], task["due_at"]) == (None, None)


def test_limits_are_taken_to_the_last_character(api: Api) -> None:
    longest = {"title": "🥛" * 500, "notes": "n" * 10_000}

    task = api("POST", "/tasks", longest).json

    assert longest.items() <= task.items()


def test_what_cannot_be_taken_is_named_with_its_limit(api: Api, sql: psycopg.Connection) -> None:
    refused: list[tuple[Any, str, str]] = [
        ({}, "title", "is missing"),
        ({"title": None}, "title", "must be text"),
        ({"title": 1}, "title", "must be text"),
        ({"title": ""}, "title", "is empty"),
        ({"title": " \n"}, "title", "is empty"),
        ({"title": "\0"}, "title", "is empty"),
        ({"title": "x" * 501}, "title", "500"),
        ({"title": "t", "notes": "x" * 10_001}, "notes", "10000"),
        ({"title": "t", "due_at": "tomorrow"}, "due_at", "such as 2026-12-24T18:00:00Z"),
        ({"title": "t", "due_at": "2026-12-24T18:00:00"}, "due_at", "with its offset"),
        ({"title": "t", "due_at": "1999-12-31T23:59:59Z"}, "due_at", "2000"),
        ({"title": "t", "due_at": "9999-12-31T23:59:59-14:00"}, "due_at", "3000"),
        ({"title": "t", "completed": True}, "completed", "is not known here"),
        ({"title": "t", "user_id": "bob"}, "user_id", "is not known here"),
        ([], "body", "object"),
    ]

    for body, field, limit in refused:
        answer = api("POST", "/tasks", body)

        assert wrong_fields(answer) == [field], body
        assert limit in answer.json["detail"], answer
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_text_is_made_storable(api: Api) -> None:
    made = api("POST", "/tasks", r'{"title": "a\u0000b\ud800c", "notes": "\udfff\u0000"}')

    assert (made.json["title"], made.json["notes"]) == ("ab\ufffdc", "\ufffd")


def test_what_is_not_there_is_not_found(api: Api) -> None:
    for method, body in (("GET", None), ("PATCH", {"title": "t"}), ("PATCH", {}), ("DELETE", None)):
        answer = api(method, f"/tasks/{NOBODYS}", body)

        assert problem(answer, 404, "not_found")["detail"] == "There is no such task."


def test_what_is_no_id_is_named(api: Api) -> None:
    for task_id in ("1", "nobody", NOBODYS + "0", "%20"):
        assert wrong_fields(api("GET", f"/tasks/{task_id}")) == ["task_id"], task_id
