"""What the todo agent does shows in the routes at once, and the other way round."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest

from parley.errors import InvalidField
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem
from tasks_desk import tasks

OFFLINE = "[offline model] "


def ask(api: Api, text: str) -> str:
    """Tell the agent something, through the messages function."""
    answer = api("POST", "/messages", {"text": text, "session_name": "tasks"})
    assert answer.status == 201, answer
    content: str = answer.json["reply"]["content"]
    return content.removeprefix(OFFLINE)


def shown(api: Api) -> list[dict[str, Any]]:
    """List the tasks, through the sessions function."""
    items: list[dict[str, Any]] = api("GET", "/tasks").json["items"]
    return items


def test_what_the_agent_does_is_seen_by_the_user(api: Api) -> None:
    ask(api, "add buy milk")
    (added,) = shown(api)
    ask(api, "add two bottles to that task")
    (noted,) = shown(api)
    ask(api, "done that")
    (done,) = shown(api)
    ask(api, "delete that")

    assert (added["title"], added["notes"], added["completed_at"]) == ("buy milk", None, None)
    assert noted == added | {"notes": "two bottles", "updated_at": noted["updated_at"]}
    assert done["completed_at"] is not None
    assert shown(api) == []
    problem(api("GET", f"/tasks/{added['id']}"), 404, "not_found")


def test_what_the_user_does_is_known_to_the_agent(api: Api) -> None:
    task_id = api("POST", "/tasks", {"title": "buy milk"}).json["id"]
    made = ask(api, "what do I have")
    api("PATCH", f"/tasks/{task_id}", {"title": "buy bread", "notes": "rye"})
    changed = ask(api, "what do I have")
    api("PATCH", f"/tasks/{task_id}", {"completed": True})
    done = ask(api, "what do I have")
    api("PATCH", f"/tasks/{task_id}", {"completed": False})
    reopened = ask(api, "what do I have")
    api("DELETE", f"/tasks/{task_id}")
    deleted = ask(api, "done that")

    assert made == "You have:\n- buy milk"
    assert changed == reopened == "You have:\n- buy bread (rye)"
    assert done == "There is nothing."
    assert deleted == f"There is no task {task_id}."


@pytest.mark.parametrize(
    "due_at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59"]
)
def test_a_time_that_nobody_could_read_again_is_not_taken_from_a_model(
    database: Database, sql: psycopg.Connection, due_at: str
) -> None:
    with (
        pytest.raises(InvalidField, match="due_at"),
        database.transaction(OfUser("alice")) as connection,
    ):
        tasks.add(connection, "alice", "t", due_at=datetime.fromisoformat(due_at))

    assert sql.execute("SELECT FROM tasks").rowcount == 0


def test_a_time_without_an_offset_is_taken_as_utc(api: Api, database: Database) -> None:
    with database.transaction(OfUser("alice")) as connection:
        connection.exec_driver_sql("SET LOCAL TimeZone = 'Asia/Tokyo'")
        tasks.add(connection, "alice", "t", due_at=datetime(2026, 12, 24, 18))

    assert shown(api)[0]["due_at"] == "2026-12-24T18:00:00Z"
