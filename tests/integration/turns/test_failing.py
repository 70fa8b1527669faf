"""Turns that end without a reply, through the handler and a real model's server."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from parley.errors import StoreUnavailable
from parley.memory.sqlite import SqliteStore
from parley_testing.api.handlers import Api
from parley_testing.models.server import Called, ModelServer, Raw, Said, Step, in_order


def send(api: Api, session_id: str, text: str = "hello", **parts: Any) -> Any:
    return api("POST", f"/sessions/{session_id}/messages", {"text": text}, **parts)


@pytest.mark.parametrize(
    "refusal",
    [
        Raw(500, b'{"error": {"message": "oops"}}'),
        Raw(429, b'{"error": {"message": "slow down"}}'),
        Raw(401, b'{"error": {"message": "who are you"}}'),
        Raw(200, b"this is not JSON"),
        Raw(200, b'{"output": 5}'),
    ],
    ids=["500", "429", "401", "not-json", "not-a-response"],
)
def test_a_model_that_fails_fails_the_turn_and_no_more(
    model_api: Api, model: ModelServer, refusal: Raw
) -> None:
    session_id = model_api.new_session()
    assert send(model_api, session_id, "one").status == 201
    model.script = lambda asked: refusal

    answer = send(model_api, session_id, "two")

    assert (answer.status, answer.json["code"]) == (502, "model_failed")
    assert "oops" not in answer.body
    turn = model_api("GET", f"/sessions/{session_id}/turns/{answer.json['turn_id']}").json
    assert turn["turn"]["status"] == "failed"
    assert turn["turn"]["error"]["code"] == "model_failed"
    assert turn["turn"]["error"]["detail"] == answer.json["detail"]
    assert (turn["user_message"]["content"], turn["reply"]) == ("two", None)

    model.script = in_order(Said("fine"))
    assert send(model_api, session_id, "three").json["reply"]["content"] == "fine"
    said = [item["content"] for item in model.asked[-1].input]
    assert said == ["one", "ok", "three"]


def test_a_failure_is_replayed_to_who_sends_its_key_again(
    model_api: Api, model: ModelServer
) -> None:
    session_id, key = model_api.new_session(), {"Idempotency-Key": "k"}
    model.script = lambda asked: Raw(400)
    first = send(model_api, session_id, headers=key)
    asked = len(model.asked)

    again = send(model_api, session_id, headers=key)

    without_id = [{**answer.json, "request_id": ""} for answer in (first, again)]
    assert first.status == again.status == 502
    assert without_id[0] == without_id[1]
    assert len(model.asked) == asked


def test_a_model_that_goes_on_asking_for_a_tool_that_is_not_there_is_stopped(
    model_api: Api, model: ModelServer
) -> None:
    model.script = lambda asked: Called("launch_missiles")

    answer = send(model_api, model_api.new_session())

    assert (answer.status, answer.json["code"]) == (502, "too_many_steps")


def test_an_agent_that_goes_in_circles_is_stopped(model_api: Api, model: ModelServer) -> None:
    model.script = lambda asked: Called("list_tasks")

    answer = send(model_api, model_api.new_session())

    assert (answer.status, answer.json["code"]) == (502, "too_many_steps")


def test_an_agent_that_is_not_offered_any_more_fails_the_turn(
    api: Api, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    sql.execute("UPDATE sessions SET agent = 'gone'")

    answer = send(api, session_id)

    assert (answer.status, answer.json["code"]) == (502, "agent_not_offered")


def test_what_tools_did_before_a_failure_is_told_in_the_next_turn(
    model_api: Api, model: ModelServer, sql: psycopg.Connection
) -> None:
    steps: list[Step] = [
        Called("list_tasks"),
        Called("add_task", {"title": "buy milk"}),
        Raw(400),
        Said("It is there."),
    ]
    model.script = in_order(*steps)
    session_id = model_api.new_session()

    failed = send(model_api, session_id, "add buy milk")
    answer = send(model_api, session_id, "is it there?")

    assert (failed.status, answer.status) == (502, 201)
    asked, note, question = model.asked[-1].input
    assert asked == {"role": "user", "content": "add buy milk"}
    assert note["role"] == "assistant"
    assert 'add_task({"title": "buy milk"})' in note["content"]
    assert "list_tasks" not in note["content"]
    assert note["content"] == failed.json["detail"]
    assert question == {"role": "user", "content": "is it there?"}
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("buy milk",)]
    usage = model_api("GET", f"/sessions/{session_id}/turns/{failed.json['turn_id']}").json
    assert usage["turn"]["usage"]["model_calls"] == 2


def test_a_failed_turn_without_effects_is_not_remembered(
    model_api: Api, model: ModelServer
) -> None:
    model.script = in_order(Called("list_tasks"), Raw(400), Said("ok"))
    session_id = model_api.new_session()
    send(model_api, session_id, "what do I have?")

    send(model_api, session_id, "hello")

    assert model.asked[-1].input == [{"role": "user", "content": "hello"}]


def test_a_store_that_is_down_loses_nothing(
    model_api: Api, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, key = model_api.new_session(), {"Idempotency-Key": "k"}
    model.script = lambda asked: Said("hi")
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "finish", _down)
        answer = send(model_api, session_id, headers=key)
    assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
    assert answer.headers["retry-after"]

    again = send(model_api, session_id, headers=key)

    assert (again.status, again.json["reply"]["content"]) == (201, "hi")
    turns = model_api("GET", f"/sessions/{session_id}/turns").json["items"]
    assert [turn["status"] for turn in turns] == ["completed"]


def _down(*_: object) -> None:
    raise StoreUnavailable("agent-session store", "down")
