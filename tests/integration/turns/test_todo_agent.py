"""The todo agent and the offline model together, through the handler."""

from __future__ import annotations

import psycopg
import pytest

from parley.ids import new_id
from parley_testing.api.handlers import Api
from parley_testing.models.server import Called, ModelServer, Said, in_order

OFFLINE = "[offline model] "


@pytest.fixture
def session_id(api: Api) -> str:
    return api.new_session()


def ask(api: Api, session_id: str, text: str, user: str = "alice") -> str:
    answer = api("POST", f"/sessions/{session_id}/messages", {"text": text}, user=user)
    assert answer.status == 201, answer
    content: str = answer.json["reply"]["content"]
    assert content.startswith(OFFLINE)
    return content.removeprefix(OFFLINE)


def test_a_day_with_the_todo_agent(api: Api, session_id: str, sql: psycopg.Connection) -> None:
    assert ask(api, session_id, "what do I have?") == "There is nothing."
    assert ask(api, session_id, "add buy milk") == "Added “buy milk”."
    assert ask(api, session_id, "add two bottles to that task") == (
        "Changed “buy milk (two bottles)”."
    )
    assert ask(api, session_id, "Add call mum.") == "Added “call mum”."
    assert ask(api, session_id, "what do I have") == (
        "You have:\n- buy milk (two bottles)\n- call mum"
    )
    assert ask(api, session_id, "done milk") == "Done: “buy milk”."
    assert ask(api, session_id, "what do I have") == "You have:\n- call mum"
    assert ask(api, session_id, "find milk") == ("You have:\n- buy milk (two bottles) — done")
    assert ask(api, session_id, "delete that") == "Deleted “buy milk”."
    assert sql.execute("SELECT title, completed_at IS NULL FROM tasks").fetchall() == [
        ("call mum", True)
    ]


def test_several_that_fit_are_asked_about(api: Api, session_id: str) -> None:
    ask(api, session_id, "add buy milk")
    ask(api, session_id, "add spill milk")

    assert ask(api, session_id, "delete milk") == "Which one?\n- buy milk\n- spill milk"


def test_a_task_that_is_deleted_meanwhile_is_told_of(
    api: Api, session_id: str, sql: psycopg.Connection
) -> None:
    ask(api, session_id, "add buy milk")
    (task_id,) = sql.execute("DELETE FROM tasks RETURNING id").fetchone() or ()

    assert ask(api, session_id, "done that") == f"There is no task {task_id}."


def test_tasks_are_their_users_own(api: Api, session_id: str) -> None:
    ask(api, session_id, "add buy milk")
    bobs = api.new_session("bob")

    assert ask(api, bobs, "what do I have", user="bob") == "There is nothing."
    assert ask(api, bobs, "delete milk", user="bob") == "I find no such task."


@pytest.mark.parametrize("tool", ["change_task", "complete_task", "delete_task"])
def test_a_model_that_knows_anothers_task_cannot_touch_it(
    model_api: Api, model: ModelServer, sql: psycopg.Connection, tool: str
) -> None:
    task_id = new_id()
    sql.execute("INSERT INTO tasks (id, user_id, title) VALUES (%s, 'bob', 'his')", (task_id,))
    arguments = {"task_id": str(task_id)} | ({"title": "mine"} if tool == "change_task" else {})
    model.script = in_order(Called(tool, arguments), Said("I cannot."))

    answer = model_api("POST", "/messages", {"text": "take it"})

    assert answer.status == 201
    assert model.asked[1].input[-1]["output"] == f"There is no task {task_id}."
    assert sql.execute("SELECT title, completed_at FROM tasks").fetchall() == [("his", None)]


def test_the_assistant_has_no_tools(api: Api) -> None:
    session_id = api.new_session(agent="assistant")

    assert "needs a real model" in ask(api, session_id, "add buy milk")


@pytest.mark.parametrize("title", ["", "   ", "x" * 501])
def test_a_title_that_cannot_be_taken_is_told_to_the_model(
    model_api: Api, model: ModelServer, sql: psycopg.Connection, title: str
) -> None:
    model.script = in_order(Called("add_task", {"title": title}), Said("I cannot."))

    answer = model_api("POST", "/messages", {"text": "add it"})

    assert answer.status == 201
    assert model.asked[1].input[-1]["output"].startswith("title ")
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
