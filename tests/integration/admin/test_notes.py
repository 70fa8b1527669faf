"""An escalation is answered in: the user reads it, and the agent goes on from it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from parley_testing.api.handlers import Api

NOTE = "Your parcel is on its way. Anna"


@pytest.fixture
def escalated(api: Api) -> str:
    session_id = api.new_session(agent="support", name="help")
    api("POST", f"/sessions/{session_id}/messages", {"text": "I want a human"})
    return session_id


def answered(admin: Any, session_id: str, **body: str) -> Any:
    return admin("PATCH", f"/admin/sessions/{session_id}", {"status": "active", **body})


def test_the_user_sees_it_as_a_message(api: Api, admin: Any, escalated: str) -> None:
    answer = answered(admin, escalated, note=NOTE)

    assert (answer.status, answer.json["status"], answer.json["status_reason"]) == (
        200, "active", None
    )  # fmt: skip
    said = api("GET", f"/sessions/{escalated}/messages").json["items"]
    assert (said[0]["role"], said[0]["content"]) == ("assistant", NOTE)
    turn = api("GET", f"/sessions/{escalated}/turns/{said[0]['turn_id']}").json
    assert (turn["turn"]["status"], turn["user_message"], turn["steps"]) == ("completed", None, [])
    assert turn["reply"] == said[0]
    assert api("POST", f"/sessions/{escalated}/messages", {"text": "thanks"}).status == 201


@pytest.mark.parametrize("note", ["", "  ", "x" * 8_001])
def test_a_note_that_cannot_be_taken_changes_nothing(
    api: Api, admin: Any, escalated: str, note: str
) -> None:
    answer = answered(admin, escalated, note=note)

    assert answer.status == 422
    assert "note" in str(answer.json)
    assert api("GET", f"/sessions/{escalated}").json["status"] == "escalated"


def test_a_note_to_no_session_is_not_found(admin: Any) -> None:
    answer = answered(admin, "018f0000-0000-7000-8000-000000000001", note=NOTE)

    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_the_record_of_it_has_not_what_was_said(
    admin: Any, escalated: str, sql: psycopg.Connection
) -> None:
    answered(admin, escalated, note=NOTE)

    ((record,),) = sql.execute("SELECT to_jsonb(r)::text FROM audit_records r").fetchall()
    assert "parcel" not in record
    assert '"noted": true' in record


def test_it_counts_for_no_reply_of_an_agents(api: Api, admin: Any, escalated: str) -> None:
    before = admin("GET", "/admin/stats").json
    answered(admin, escalated, note=NOTE)

    after = admin("GET", "/admin/stats").json

    assert _seconds(after) == _seconds(before)


def _seconds(statistics: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []

    def look(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                look(each, key)
        elif name in ("median_seconds", "p95_seconds"):
            found.append((name, value))

    look(statistics, "")
    return found
