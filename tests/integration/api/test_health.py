"""The routes that touch no store."""

from __future__ import annotations

from parley_testing.api.handlers import Api


def test_health_answers_without_a_token_and_without_stores(api: Api, environment: object) -> None:
    answer = api("GET", "/health", user=None)

    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_a_message_is_answered(api: Api) -> None:
    answer = api("POST", "/messages", {"text": "add buy milk", "session_name": "groceries"})

    assert answer.status == 201
    assert answer.json["reply"]["content"] == "[offline model] Added “buy milk”."
