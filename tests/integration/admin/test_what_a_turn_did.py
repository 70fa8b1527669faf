"""What the tools of anybody's turn were given and gave, and what happened in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from parley.events.listing import joined
from parley.events.log import EventType, TurnEvent
from parley.repository.paging import encode
from parley_testing.api.handlers import Api
from parley_testing.api.problems import wrong_fields


def test_a_tools_arguments_and_output_are_shown_as_they_were_recorded(
    admin: Any, turn: str, sql: psycopg.Connection
) -> None:
    row = sql.execute("SELECT call_id, arguments, output FROM tool_calls").fetchone()
    assert row is not None
    call_id, arguments, output = row

    (shown,) = admin("GET", f"/admin/turns/{turn}/tool-calls").json["items"]

    assert (shown["call_id"], shown["name"], shown["arguments"]) == (call_id, "add_task", arguments)
    assert shown["output"] == output["value"]
    assert (shown["effect"], shown["error"], shown["cut"]) == (True, None, False)
    assert isinstance(shown["milliseconds"], int)


def test_calls_are_paged_in_the_order_in_which_they_were_recorded(
    admin: Any, turn: str, sql: psycopg.Connection
) -> None:
    for number in (2, 1):
        sql.execute(
            "INSERT INTO tool_calls (turn_id, call_id, name, arguments, output, effect, created_at)"
            " VALUES (%s, %s, 'look', '{}', %s, false, '2026-01-01T00:00:00Z')",
            [turn, f"c{number}", Jsonb({"value": {"n": number}, "error": "KeyError"})],
        )

    shown = admin.one_by_one(f"/admin/turns/{turn}/tool-calls")

    assert [call["call_id"] for call in shown[:2]] == ["c1", "c2"]
    assert [call["name"] for call in shown] == ["look", "look", "add_task"]
    assert (shown[0]["output"], shown[0]["error"]) == ({"n": 1}, "KeyError")


@pytest.mark.parametrize("long", ["arguments", "output"])
def test_what_is_very_long_is_cut(
    admin: Any, turn: str, sql: psycopg.Connection, long: str
) -> None:
    if long == "arguments":
        sql.execute("UPDATE tool_calls SET arguments = %s", ["a" * 150_000])
    else:
        sql.execute("UPDATE tool_calls SET output = %s", [Jsonb({"value": "\u0002" * 150_000})])

    (shown,) = admin("GET", f"/admin/turns/{turn}/tool-calls").json["items"]

    assert shown["cut"] is True
    assert len(shown[long]) == 100_000


def test_what_happened_is_listed_in_its_order(admin: Any, api: Api) -> None:
    session_id = api.new_session()
    api("POST", f"/sessions/{session_id}/messages/stream", {"text": "add milk"})
    turn = api("GET", f"/sessions/{session_id}/turns").json["items"][0]["id"]

    whole = admin("GET", f"/admin/turns/{turn}/events", query={"limit": "100"}).json

    kinds = [event["type"] for event in whole["items"]]
    assert (kinds[0], kinds[-1]) == ("turn.started", "turn.completed")
    assert {"tool.called", "tool.returned", "message.completed"} <= set(kinds)
    (called,) = (event for event in whole["items"] if event["type"] == "tool.called")
    assert called["data"]["name"] == "add_task"
    assert whole["next_cursor"] is None
    assert admin.one_by_one(f"/admin/turns/{turn}/events") == whole["items"]


def test_of_a_turn_whose_events_are_not_kept_any_more_there_are_none(
    admin: Any, turn: str, api: Api, memory: Any, sql: psycopg.Connection
) -> None:
    session_id = sql.execute("SELECT session_id FROM turns").fetchone()
    assert session_id is not None
    memory.forget(f"user_alice_conv_{session_id[0]}")

    answer = admin("GET", f"/admin/turns/{turn}/events")

    assert answer.json == {"items": [], "next_cursor": None}


def event(sequence: int, kind: EventType, **data: Any) -> TurnEvent:
    return TurnEvent(sequence, kind, datetime(2026, 1, 1, tzinfo=UTC), data)


def test_pieces_of_one_message_are_joined_and_no_others() -> None:
    delta: EventType = "message.delta"
    events = [
        event(1, delta, step=1, text="a"),
        event(2, delta, step=1, text="b"),
        event(3, "tool.called", call_id="c"),
        event(4, delta, step=1, text="c"),
        event(5, delta, step=2, text="d"),
    ]

    whole = joined(events)

    assert [(each.sequence, each.data.get("text")) for each in whole] == [
        (2, "ab"),
        (3, None),
        (4, "c"),
        (5, "d"),
    ]
    assert joined([*joined(events[:1]), *events[1:]]) == whole


@pytest.mark.parametrize("what", ["tool-calls", "events", "memory"])
def test_what_cannot_be_taken_is_named(admin: Any, turn: str, what: str) -> None:
    path = f"/admin/turns/{turn}/{what}"

    assert wrong_fields(admin("GET", path, query={"limit": "0"})) == ["limit"]
    assert wrong_fields(admin("GET", path, query={"limit": "101"})) == ["limit"]
    for cursor in ("W251bGxd", encode([datetime(2026, 11, 29, tzinfo=UTC), "\0"])):
        assert wrong_fields(admin("GET", path, query={"cursor": cursor})) == ["cursor"]


@pytest.mark.parametrize("what", ["tool-calls", "events", "memory"])
def test_of_a_turn_that_is_not_there_nothing_is_found(admin: Any, what: str) -> None:
    answer = admin("GET", f"/admin/turns/018f0000-0000-7000-8000-000000000001/{what}")

    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("what", ["tool-calls", "events", "memory"])
def test_each_look_is_recorded_with_whose_turn_it_is(
    admin: Any, turn: str, sql: psycopg.Connection, what: str
) -> None:
    admin("GET", f"/admin/turns/{turn}/{what}")

    ((details,),) = sql.execute("SELECT details FROM audit_records").fetchall()
    assert details["user_id"] == "alice"
    assert details["asked"].startswith("read a turn's")


def test_a_session_is_shown_with_whose_it_is_and_the_look_recorded(
    admin: Any, api: Api, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()

    answer = admin("GET", f"/admin/sessions/{session_id}")

    owns = api("GET", f"/sessions/{session_id}").json
    assert answer.json | {"usage": owns["usage"]} == owns | {"user_id": "alice"}
    ((details,),) = sql.execute("SELECT details FROM audit_records").fetchall()
    assert (details["asked"], details["user_id"]) == ("read a session", "alice")


def test_a_session_that_is_not_there_is_not_found(admin: Any) -> None:
    answer = admin("GET", "/admin/sessions/018f0000-0000-7000-8000-000000000001")

    assert (answer.status, answer.json["code"]) == (404, "not_found")
