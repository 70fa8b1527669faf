"""One warm process and a real model's server: many invocations, both of OpenAI's APIs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest

from parley import loop
from parley_testing.api.handlers import Api
from parley_testing.models.server import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Called,
    ModelServer,
    Raw,
    Said,
    in_order,
)

APIS = pytest.mark.parametrize("which", ["responses", "chat_completions"])


@pytest.fixture
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def chosen_api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Say which API the server speaks, before a function is loaded."""
    if "which" in request.fixturenames:
        monkeypatch.setenv("OPENAI_API", request.getfixturevalue("which"))


def send(api: Api, session_id: str, text: str) -> Any:
    answer = api("POST", f"/sessions/{session_id}/messages", {"text": text})
    assert answer.status == 201, answer
    return answer.json


@pytest.mark.usefixtures("idle_connections")
def test_many_invocations_of_one_warm_process(model_api: Api, model: ModelServer) -> None:
    model.script = lambda asked: Said(f"answer {len(model.asked)}")
    session_id = model_api.new_session()
    loops: set[asyncio.AbstractEventLoop] = set()
    left: set[asyncio.Task[Any]] = set()

    for number in range(1, 9):
        reply = send(model_api, session_id, f"question {number}")["reply"]["content"]
        assert reply == f"answer {number}"
        process_loop = loop._runner().get_loop()
        loops.add(process_loop)
        left |= asyncio.all_tasks(process_loop)

    assert len(loops) == 1
    assert left == set()
    assert len({asked.connection for asked in model.asked}) == 1
    assert len(model.asked[-1].input) == 2 * 7 + 1


@APIS
def test_a_tool_call_goes_there_and_back(
    model_api: Api, model: ModelServer, sql: psycopg.Connection, which: str
) -> None:
    model.script = in_order(Called("add_task", {"title": "buy milk"}), Said("Added."))

    answer = send(model_api, model_api.new_session(), "add buy milk")

    assert answer["reply"]["content"] == "Added."
    assert answer["turn"]["usage"] == {
        "model_calls": 2,
        "input_tokens": 2 * INPUT_TOKENS,
        "cached_tokens": 0 if which == "responses" else None,
        "output_tokens": 2 * OUTPUT_TOKENS,
        "reasoning_tokens": 0 if which == "responses" else None,
        "cost_usd": None,  # the server is nobody's whose prices are known
        "calls_without_tokens": 0,
        "calls_without_cost": 2,
    }
    assert sql.execute("SELECT user_id, title FROM tasks").fetchall() == [("alice", "buy milk")]
    output = model.asked[1].input[-1]
    told = json.loads(output["output" if which == "responses" else "content"])
    assert told["title"] == "buy milk"


@APIS
def test_the_whole_conversation_arrives(model_api: Api, model: ModelServer, which: str) -> None:
    model.script = in_order(
        Called("add_task", {"title": "buy milk"}, "call_7"), Said("Added."), Said("Fine.")
    )
    session_id = model_api.new_session()
    send(model_api, session_id, "add buy milk")

    send(model_api, session_id, "thanks")

    asked = model.asked[2]
    assert (asked.path, asked.body["model"]) == (
        "/responses" if which == "responses" else "/chat/completions",
        "scripted",
    )
    assert {tool.get("name") or tool["function"]["name"] for tool in asked.body["tools"]} == {
        "add_task",
        "list_tasks",
        "find_tasks",
        "change_task",
        "complete_task",
        "delete_task",
    }
    if which == "responses":
        said, call, output, reply, last = asked.input
        assert "tasks" in asked.body["instructions"]
        assert call["type"] == "function_call"
        call_id, answered = call["call_id"], output["call_id"]
    else:
        system, said, call, output, reply, last = asked.input
        assert "tasks" in system["content"]
        call_id, answered = call["tool_calls"][0]["id"], output["tool_call_id"]
    assert call_id == answered == "call_7"
    assert said["content"] == "add buy milk"
    assert (reply["role"], reply["content"]) == ("assistant", "Added.")
    assert (last["role"], last["content"]) == ("user", "thanks")
    assert "rs_" not in json.dumps(asked.input)
    assert "msg_" not in json.dumps(asked.input)


@APIS
def test_call_ids_that_a_server_repeats_are_made_unique(
    model_api: Api, model: ModelServer, sql: psycopg.Connection, which: str
) -> None:
    two = [Called("add_task", {"title": "one"}), Called("add_task", {"title": "two"})]
    again = Called("add_task", {"title": "three"})
    model.script = in_order(two, again, Said("Added."), again, Said("Added again."))
    session_id = model_api.new_session()

    send(model_api, session_id, "add three")
    send(model_api, session_id, "add another")

    rows = sql.execute("SELECT title FROM tasks ORDER BY id").fetchall()
    assert [title for (title,) in rows] == ["one", "two", "three", "three"]
    if which == "responses":
        calls = [item["call_id"] for item in model.asked[-1].input if "arguments" in item]
        outputs = [item["call_id"] for item in model.asked[-1].input if "output" in item]
    else:
        calls = [
            made["id"] for item in model.asked[-1].input for made in item.get("tool_calls") or ()
        ]
        outputs = [item["tool_call_id"] for item in model.asked[-1].input if "tool_call_id" in item]
    assert len(set(calls)) == 4
    assert sorted(calls) == sorted(outputs)


@APIS
def test_a_refusal_of_the_server_fails_the_turn(
    model_api: Api, model: ModelServer, which: str
) -> None:
    model.script = lambda asked: Raw(500)

    answer = model_api("POST", "/messages", {"text": "hello"})

    assert (answer.status, answer.json["code"]) == (502, "model_failed")


def test_a_passing_failure_of_the_server_is_tried_again(model_api: Api, model: ModelServer) -> None:
    model.script = in_order(Raw(500), Said("now"))

    answer = model_api("POST", "/messages", {"text": "hello"})

    assert (answer.status, answer.json["reply"]["content"]) == (201, "now")
