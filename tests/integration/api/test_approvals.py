"""Approvals over the API: listed, decided once, and told to nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from parley.repository.approvals import Approval, Asked, decide, pause
from parley.repository.turns import TurnRepository
from parley_testing.api.handlers import Api
from parley_testing.stores.asking import asking
from parley_testing.stores.talk import begin, request


@pytest.fixture
def asked(api: Api, turns: TurnRepository) -> Approval:
    """A refund that alice's turn waits for, whose arguments may be changed."""
    return waiting(api, turns, Asked("call_1", "todo", "refund", '{"cents": 900}', editable=True))


def waiting(api: Api, turns: TurnRepository, call: Asked) -> Approval:
    return asking(turns._database, api.new_session(), call)


def test_a_turn_that_waits_says_what_for(api: Api, asked: Approval) -> None:
    turn = api("GET", f"/sessions/{asked.session_id}/turns/{asked.turn_id}").json

    assert (turn["turn"]["status"], turn["turn"]["waiting_for"]) == ("waiting", "decisions")
    (shown,) = turn["approvals"]
    assert (shown["id"], shown["tool"], shown["arguments"], shown["decider"]) == (
        str(asked.id),
        "refund",
        '{"cents": 900}',
        "user",
    )


LARGE = '{"text": "' + "x" * 999_000 + '"}'


@pytest.mark.parametrize("times", [1, 9], ids=["once", "often"])
def test_a_turn_that_has_asked_for_very_much_can_be_read_by_everybody(
    api: Api, turns: TurnRepository, times: int
) -> None:
    database, session_id = turns._database, api.new_session()
    asked = [Asked(f"call_{n}", "todo", "pay", LARGE, editable=True) for n in range(3)]
    turn = begin(turns, request("alice", session_id))
    for pauses in range(times):
        of_pause = [replace(each, call_id=f"{each.call_id} {pauses}") for each in asked]
        found = pause(database, turn, of_pause, expires_in=3600, spent=0) or []
        for each in found if pauses < times - 1 else ():
            decide(database, each, "approved", by="alice", edited=LARGE, anybody=False)
        turn = turns.claim_head(turn.session_id).turn or turn
    path = f"/sessions/{session_id}/turns/{turn.id}"

    read = [
        api("GET", path),
        api("GET", f"/admin/turns/{turn.id}", user="anna", scopes="parley:admin"),
    ]

    assert [answer.status for answer in read] == [200, 200]
    for answer in read:
        assert len(json.dumps(answer.body)) < 6_000_000
        shown = answer.json["approvals"]
        assert [each["cut"] for each in shown[-3:]] == [False] * 3
        assert all(each["arguments"] == LARGE for each in shown[-3:])
        assert len(shown) == 3 * times
        assert all(each["cut"] for each in shown[:-5])
    whole = api("GET", f"/approvals/{shown[0]['id']}").json
    assert (whole["arguments"], whole["cut"]) == (LARGE, False)


def test_its_session_is_busy_and_says_with_which_turn(api: Api, asked: Approval) -> None:
    refused = api("POST", f"/sessions/{asked.session_id}/messages", {"text": "another"})

    assert refused.status == 409
    assert (refused.json["code"], refused.json["turn_id"]) == ("turn_waiting", str(asked.turn_id))


def test_they_are_listed_to_whose_they_are_and_to_administrators(api: Api, asked: Approval) -> None:
    def ids(path: str, **who: Any) -> list[str]:
        return [each["id"] for each in api("GET", path, **who).json["items"]]

    own = {"query": {"status": "open"}}
    assert ids("/approvals", **own) == [str(asked.id)]
    assert ids("/approvals", query={"status": "approved"}) == []
    assert ids("/approvals", user="eve", **own) == []
    assert ids("/admin/approvals", user="anna", scopes="parley:admin", **own) == [str(asked.id)]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_else_finds_or_decides_one(api: Api, asked: Approval, method: str) -> None:
    body = {"decision": "approve"} if method == "POST" else None

    answer = api(method, f"/approvals/{asked.id}", body, user="eve", scopes="other")

    assert answer.status == 404


def test_it_is_decided_once_and_others_are_told(api: Api, asked: Approval) -> None:
    path = f"/approvals/{asked.id}"
    body = {"decision": "approve", "reason": "fine", "arguments": {"cents": 5}}

    first, again = (api("POST", path, body) for _ in range(2))
    other = api("POST", path, {"decision": "reject"})

    assert (first.status, again.status) == (200, 200)
    assert first.json == again.json
    assert (first.json["status"], first.json["edited_arguments"]) == ("approved", '{"cents":5}')
    assert other.status == 409
    assert (other.json["code"], other.json["approval_id"]) == ("already_decided", str(asked.id))
    turn = api("GET", f"/sessions/{asked.session_id}/turns/{asked.turn_id}").json["turn"]
    assert turn["status"] == "running"


SCHEMA = {
    "type": "object",
    "properties": {
        "cents": {"type": "integer", "maximum": 1000},
        "order": {"$ref": "#/$defs/Order"},
    },
    "required": ["cents", "order"],
    "additionalProperties": False,
    "$defs": {"Order": {"type": "object", "properties": {"id": {"type": "string"}}}},
}


@pytest.mark.parametrize(
    ("edited", "field"),
    [
        ({"cents": "many", "order": {}}, "arguments.cents"),
        ({"cents": 1001, "order": {}}, "arguments.cents"),
        ({"cents": 5}, "arguments.order"),
        ({"cents": 5, "order": {"id": 7}}, "arguments.order.id"),
        ({"cents": 5, "order": {}, "\x1b[2J": 1}, "arguments.\x1b[2J"),
    ],
)
@pytest.mark.parametrize("administrator", [False, True])
def test_edited_arguments_that_the_tool_would_refuse_leave_the_approval_open(
    api: Api, turns: TurnRepository, edited: dict[str, Any], field: str, administrator: bool
) -> None:
    decider = "admin" if administrator else "user"
    call = Asked("call_1", "todo", "refund", "{}", decider, editable=True, schema=SCHEMA)
    asked = waiting(api, turns, call)
    who: dict[str, Any] = {"user": "anna", "scopes": "parley:admin"} if administrator else {}
    path = f"/admin/approvals/{asked.id}" if administrator else f"/approvals/{asked.id}"

    refused = api("POST", path, {"decision": "approve", "arguments": edited}, **who)

    assert (refused.status, refused.json["code"]) == (422, "invalid_field")
    assert [each["field"] for each in refused.json["errors"]] == [field]
    assert api("GET", f"/approvals/{asked.id}").json["status"] == "open"
    right = {"decision": "approve", "arguments": {"cents": 5, "order": {"id": "o"}}}
    assert api("POST", path, right, **who).json["status"] == "approved"


def test_what_is_left_to_the_user_an_administrator_does_not_decide(
    api: Api, asked: Approval
) -> None:
    answer = api(
        "POST",
        f"/admin/approvals/{asked.id}",
        {"decision": "approve"},
        user="anna",
        scopes="parley:admin",
    )

    assert (answer.status, answer.json["code"]) == (403, "forbidden")


def test_one_who_has_the_scope_decides_for_another_user(api: Api, turns: TurnRepository) -> None:
    asked = waiting(api, turns, Asked("call_1", "todo", "refund", "{}", "refunds:approve"))
    path, body = f"/approvals/{asked.id}", {"decision": "reject", "reason": "too late"}

    assert api("POST", path, body).status == 403
    decided = api("POST", path, body, user="anna", scopes="refunds:approve")

    assert (decided.status, decided.json["status"]) == (200, "rejected")


@pytest.mark.parametrize(
    "body", [{}, {"decision": "perhaps"}, {"decision": "reject", "arguments": {}}]
)
def test_what_is_no_decision_changes_nothing(
    api: Api, asked: Approval, body: dict[str, Any]
) -> None:
    path = f"/approvals/{asked.id}"

    assert api("POST", path, body).status == 422
    assert api("GET", path).json["status"] == "open"


def test_deleting_its_session_takes_it_along_and_its_turn_is_counted_until_then(
    api: Api, asked: Approval
) -> None:
    def waiting_turns() -> int:
        shown = api("GET", "/admin/stats", user="anna", scopes="parley:admin").json
        assert 0 <= shown["oldest_approval_seconds"] < 3600 if shown["turns"]["waiting"] else True
        return int(shown["turns"]["waiting"])

    assert waiting_turns() == 1

    assert api("DELETE", f"/sessions/{asked.session_id}").status == 204

    assert waiting_turns() == 0
    assert api("GET", f"/approvals/{asked.id}").status == 404
    assert api("POST", f"/approvals/{asked.id}", {"decision": "approve"}).status == 404
    assert api("GET", "/approvals").json["items"] == []
