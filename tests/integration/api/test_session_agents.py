"""A session is held with one agent, chosen when it is made."""

from __future__ import annotations

import pytest

from parley.manifest import manifest
from parley_testing.api.handlers import Api
from parley_testing.api.problems import wrong_fields


def test_a_session_is_held_with_the_agent_that_it_was_made_with(api: Api) -> None:
    session_id = api.new_session(agent="support")

    turn = api("POST", f"/sessions/{session_id}/messages", {"text": "hello"}).json["turn"]

    assert turn["agent"] == "support"
    listed = api("GET", "/sessions", query={"agent": "support"}).json["items"]
    assert [session["id"] for session in listed] == [session_id]


def test_a_first_message_chooses_the_agent(api: Api) -> None:
    turn = api("POST", "/messages", {"text": "hello", "agent": "support"}).json["turn"]

    assert turn["agent"] == "support"
    assert api("GET", f"/sessions/{turn['session_id']}").json["agent"] == "support"


def test_later_messages_and_creations_do_not_change_it(api: Api) -> None:
    first = api("POST", "/sessions", {"name": "help", "agent": "support"}).json

    again = api("POST", "/sessions", {"name": "help", "agent": "todo"})
    sent = api("POST", "/messages", {"text": "hi", "session_name": "help", "agent": "todo"})

    assert (again.status, again.json) == (200, first)
    assert (sent.status, sent.json["turn"]["agent"]) == (201, "support")
    assert api("GET", f"/sessions/{first['id']}").json["agent"] == "support"


def test_who_names_a_session_by_its_id_cannot_name_an_agent(api: Api) -> None:
    session_id = api.new_session(agent="support")
    body = {"text": "hello", "session_id": session_id, "agent": "support"}

    assert wrong_fields(api("POST", "/messages", body)) == ["agent"]


@pytest.mark.parametrize("path", ["/sessions", "/messages"])
def test_an_agent_that_is_not_offered_is_refused_with_those_that_are(api: Api, path: str) -> None:
    body = {"agent": "nobody"} | ({"text": "hello"} if path == "/messages" else {})

    answer = api("POST", path, body)

    assert wrong_fields(answer) == ["agent"]
    assert all(name in answer.json["detail"] for name in manifest().agents)
    assert api("GET", "/sessions").json["items"] == []
