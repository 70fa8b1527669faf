"""Sending a message, through the handler."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest

from parley.ids import new_id
from parley.repository.turns import Ending, Usage
from parley_testing.api.handlers import Api
from parley_testing.models.server import INPUT_TOKENS, OUTPUT_TOKENS, ModelServer, Said
from parley_testing.workbench import Workbench

ADDED = "[offline model] Added “buy milk”."


def test_the_answer_is_the_turn_as_it_reads_later(api: Api) -> None:
    session_id = api.new_session()

    answer = api("POST", f"/sessions/{session_id}/messages", {"text": "add buy milk"})

    assert answer.status == 201
    assert answer.json["user_message"]["content"] == "add buy milk"
    assert answer.json["reply"]["content"] == ADDED
    turn_id = answer.json["turn"]["id"]
    assert answer.headers["location"] == f"/sessions/{session_id}/turns/{turn_id}"
    later = api("GET", answer.headers["location"])
    shown = later.json
    steps = shown.pop("steps")
    assert (later.status, shown) == (200, answer.json)
    assert [step["name"] for step in steps] == ["offline", "add_task", "offline"]


def test_the_answer_tells_the_usage(model_api: Api, model: ModelServer) -> None:
    session_id = model_api.new_session()

    answer = model_api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})

    assert answer.json["turn"]["usage"] == {
        "model_calls": 1,
        "input_tokens": INPUT_TOKENS,
        "cached_tokens": 0,
        "output_tokens": OUTPUT_TOKENS,
        "reasoning_tokens": 0,
        "cost_usd": None,
        "calls_without_tokens": 0,
        "calls_without_cost": 1,
    }


def test_the_same_key_gives_the_same_answer(api: Api, sql: psycopg.Connection) -> None:
    path, body = f"/sessions/{api.new_session()}/messages", {"text": "add buy milk"}
    first = api("POST", path, body, headers={"Idempotency-Key": "k"})

    again = api("POST", path, body, headers={"Idempotency-Key": "k"})

    assert (again.status, again.json) == (201, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (1,)


def test_the_same_key_with_another_text_is_refused(api: Api) -> None:
    path = f"/sessions/{api.new_session()}/messages"
    api("POST", path, {"text": "add buy milk"}, headers={"Idempotency-Key": "k"})

    answer = api("POST", path, {"text": "add buy eggs"}, headers={"Idempotency-Key": "k"})

    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")


def test_a_first_message_makes_one_session_however_often_it_is_sent(
    api: Api, sql: psycopg.Connection
) -> None:
    body, key = {"text": "add buy milk"}, {"Idempotency-Key": "k"}

    answers = [api("POST", "/messages", body, headers=key) for _ in range(3)]

    assert [answer.status for answer in answers] == [201] * 3
    assert answers[0].json == answers[1].json == answers[2].json
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


@pytest.mark.parametrize("named", [False, True])
def test_a_second_message_learns_which_turn_runs(api: Api, bench: Workbench, named: bool) -> None:
    session_id = api.new_session(name="groceries")
    turn = bench.begin(UUID(session_id))

    if named:
        answer = api("POST", "/messages", {"text": "hello", "session_name": "groceries"})
    else:
        answer = api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})

    assert (answer.status, answer.json["code"]) == (409, "turn_in_progress")
    assert answer.json["turn_id"] == str(turn.id)
    transcript = api("GET", f"/sessions/{session_id}/messages").json["items"]
    assert [message["content"] for message in transcript] == ["hello"]


def test_a_session_that_ended_takes_no_message(api: Api) -> None:
    session_id = api.new_session()
    api("PATCH", f"/sessions/{session_id}", {"status": "ended"})

    answer = api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})

    assert (answer.status, answer.json["code"]) == (409, "session_not_active")


def test_another_users_session_is_not_found(api: Api) -> None:
    session_id = api.new_session("alice")

    answer = api("POST", f"/sessions/{session_id}/messages", {"text": "hello"}, user="bob")

    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_a_session_that_is_not_there_is_not_found(api: Api) -> None:
    answer = api("POST", f"/sessions/{new_id()}/messages", {"text": "hello"})

    assert answer.status == 404


@pytest.mark.parametrize("text", ["", " \n", "x" * 101])
def test_a_text_must_have_a_length_that_fits(
    api: Api, environment: pytest.MonkeyPatch, sql: psycopg.Connection, text: str
) -> None:
    environment.setenv("MESSAGE_MAX_CHARS", "100")

    answer = api("POST", "/messages", {"text": text})

    assert (answer.status, answer.json["code"]) == (422, "invalid_field")
    assert answer.json["errors"][0]["field"] == "text"
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_a_text_of_the_longest_length_is_taken(api: Api, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MESSAGE_MAX_CHARS", "100")

    assert api("POST", "/messages", {"text": "x" * 100}).status == 201


def test_text_is_made_storable(model_api: Api, model: ModelServer) -> None:
    model.script = lambda asked: Said("as\0 you \ud800 say")

    answer = model_api("POST", "/messages", '{"text": "nul \\u0000 and \\ud800 surrogate"}')

    assert answer.status == 201
    assert answer.json["user_message"]["content"] == "nul  and \N{REPLACEMENT CHARACTER} surrogate"
    assert answer.json["reply"]["content"] == "as you \N{REPLACEMENT CHARACTER} say"


def test_a_cancelled_turn_is_told_to_who_sends_its_key_again(api: Api, bench: Workbench) -> None:
    session_id = api.new_session()
    turn = bench.begin(UUID(session_id), "hello", key="k")
    bench.turns.stop(turn, Ending("cancelled", "cancelled", "You did.", False), Usage(), None)

    answer = api(
        "POST",
        f"/sessions/{session_id}/messages",
        {"text": "hello"},
        headers={"Idempotency-Key": "k"},
    )

    assert (answer.status, answer.json["code"]) == (409, "turn_cancelled")
    assert answer.json["turn_id"] == str(turn.id)
