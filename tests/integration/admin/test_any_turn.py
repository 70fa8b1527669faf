"""Anybody's turn, by its id alone or by that of the request which made it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from parley_testing.api.handlers import Api


@pytest.fixture
def made(api: Api) -> dict[str, Any]:
    """A turn of alice's, as she sees it."""
    session_id = api.new_session()
    sent = api("POST", f"/sessions/{session_id}/messages", {"text": "add milk"})
    shown: dict[str, Any] = api("GET", sent.headers["location"]).json
    return shown


def request_of(sql: psycopg.Connection, turn: dict[str, Any]) -> str:
    row = sql.execute("SELECT request_id FROM turns WHERE id = %s", [turn["turn"]["id"]]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("by", ["turn", "request"])
def test_it_is_shown_with_whose_it_is(
    admin: Any, made: dict[str, Any], sql: psycopg.Connection, by: str
) -> None:
    request_id = request_of(sql, made)
    named = made["turn"]["id"] if by == "turn" else request_id

    answer = admin("GET", f"/admin/turns/{named}")

    assert answer.status == 200, answer
    assert answer.json == made | {
        "user_id": "alice",
        "request_id": request_id,
        "attempt": 1,
        "crashes": 0,
    }
    assert [step["kind"] for step in answer.json["steps"]] == ["model", "tool", "model"]


def test_a_first_message_names_its_request_too(
    api: Api, admin: Any, sql: psycopg.Connection
) -> None:
    turn = api("POST", "/messages", {"text": "hello"}).json

    answer = admin("GET", f"/admin/turns/{request_of(sql, turn)}")

    assert answer.json["turn"]["id"] == turn["turn"]["id"]


@pytest.mark.parametrize("named", ["018f0000-0000-7000-8000-000000000001", "no-such-request"])
def test_what_is_not_there_is_not_found(admin: Any, made: dict[str, Any], named: str) -> None:
    answer = admin("GET", f"/admin/turns/{named}")

    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_an_id_that_is_too_long_is_refused(admin: Any) -> None:
    answer = admin("GET", f"/admin/turns/{'x' * 201}")

    assert answer.status == 422


def test_reading_it_is_recorded(admin: Any, made: dict[str, Any], sql: psycopg.Connection) -> None:
    admin("GET", f"/admin/turns/{made['turn']['id']}")

    ((details,),) = sql.execute("SELECT details FROM audit_records").fetchall()
    assert (details["asked"], details["user_id"]) == ("read a turn", "alice")
    assert details["session_id"] == made["turn"]["session_id"]
