"""PATCH and DELETE /tasks/{task_id}."""

from __future__ import annotations

from typing import Any

import pytest

from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem, wrong_fields

WHOLE = {"title": "buy milk", "notes": "two bottles", "due_at": "2026-12-24T18:00:00Z"}


@pytest.fixture
def task(api: Api) -> dict[str, Any]:
    made: dict[str, Any] = api("POST", "/tasks", WHOLE).json
    return made


def change(api: Api, task: dict[str, Any], changes: Any) -> dict[str, Any]:
    answer = api("PATCH", f"/tasks/{task['id']}", changes)
    assert answer.status == 200, answer
    assert api("GET", f"/tasks/{task['id']}").json == answer.json
    changed: dict[str, Any] = answer.json
    return changed


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "buy bread"},
        {"notes": None},
        {"notes": ""},
        {"due_at": None},
        {"due_at": "2027-01-01T00:00:00Z"},
        {"title": "all", "notes": "of", "due_at": "2027-01-02T00:00:00Z"},
    ],
)
def test_only_fields_that_are_given_change(
    api: Api, task: dict[str, Any], changes: dict[str, Any]
) -> None:
    after = change(api, task, changes)

    assert after == task | changes | {"updated_at": after["updated_at"]}
    assert after["updated_at"] > task["updated_at"]


def test_a_change_of_nothing_changes_nothing(api: Api, task: dict[str, Any]) -> None:
    assert change(api, task, {}) == task


def test_a_task_is_ticked_off_once_and_can_be_taken_up_again(
    api: Api, task: dict[str, Any]
) -> None:
    done = change(api, task, {"completed": True})
    again = change(api, task, {"completed": True, "title": "bought milk"})
    reopened = change(api, task, {"completed": False})

    assert done["completed_at"] >= task["created_at"]
    assert again["completed_at"] == done["completed_at"]
    assert reopened["completed_at"] is None


def test_fields_that_cannot_be_taken_are_named_and_change_nothing(
    api: Api, task: dict[str, Any]
) -> None:
    refused: list[tuple[Any, str]] = [
        ({"title": None}, "title"),
        ({"title": ""}, "title"),
        ({"title": "  "}, "title"),
        ({"title": "x" * 501, "notes": "new"}, "title"),
        ({"notes": "x" * 10_001}, "notes"),
        ({"notes": 1}, "notes"),
        ({"due_at": "2026-12-24"}, "due_at"),
        ({"completed": None}, "completed"),
        ({"completed": "yes"}, "completed"),
        ({"completed": 1}, "completed"),
        ({"completed_at": "2026-12-24T18:00:00Z"}, "completed_at"),
        ({"id": task["id"]}, "id"),
        (None, "body"),
    ]

    for body, field in refused:
        answer = api("PATCH", f"/tasks/{task['id']}", body)
        assert wrong_fields(answer) == [field], body
    assert api("GET", f"/tasks/{task['id']}").json == task


def test_a_deleted_task_is_gone(api: Api, task: dict[str, Any]) -> None:
    other = api("POST", "/tasks", {"title": "other"}).json

    answer = api("DELETE", f"/tasks/{task['id']}")

    assert (answer.status, answer.body) == (204, "")
    for method, body in (("GET", None), ("PATCH", {"completed": True}), ("DELETE", None)):
        problem(api(method, f"/tasks/{task['id']}", body), 404, "not_found")
    assert api("GET", "/tasks").json["items"] == [other]
