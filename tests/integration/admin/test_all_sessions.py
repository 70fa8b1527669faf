"""Sessions of all users, what was said in them, and acting on those that were escalated."""

from __future__ import annotations

from typing import Any

import pytest

from parley.repository import session_list
from parley_testing.api.handlers import Api
from parley_testing.stores.aged import Aged


@pytest.fixture
def made(aged: Aged) -> dict[str, str]:
    """Sessions of two users by name; the newest activity first."""
    sessions = [
        ("bea", "bob", "active", "cli"),
        ("ann", "alice", "escalated", "web"),
        ("ben", "bob", "escalated", "web"),
        ("amy", "alice", "ended", "api"),
    ]
    return {
        name: str(aged.session(days=n + 1, user=user, status=status, platform=where, name=name))
        for n, (name, user, status, where) in enumerate(sessions)
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["bea", "ann", "ben", "amy"]),
        ({"status": "escalated"}, ["ann", "ben"]),
        ({"user_id": "bob"}, ["bea", "ben"]),
        ({"user_id": "bob", "status": "escalated"}, ["ben"]),
        ({"platform": "api"}, ["amy"]),
        ({"agent": "todo", "platform": "web"}, ["ann", "ben"]),
        ({"agent": "support"}, []),
        ({"user_id": "bo%"}, []),
    ],
)
def test_sessions_are_listed_by_status_and_user(
    admin: Any, made: dict[str, str], query: dict[str, str], found: list[str]
) -> None:
    answer = admin("GET", "/admin/sessions", query=query)

    assert [item["name"] for item in answer.json["items"]] == found
    assert answer.json["next_cursor"] is None


def test_each_tells_whose_it_is_and_why_it_is_not_active(
    admin: Any, aged: Aged, made: dict[str, str]
) -> None:
    aged.sql.execute("UPDATE sessions SET status_reason = 'asks for a person' WHERE name = 'ben'")

    items = {item["name"]: item for item in admin("GET", "/admin/sessions").json["items"]}

    assert {name: item["user_id"] for name, item in items.items()} == {
        "bea": "bob",
        "ann": "alice",
        "ben": "bob",
        "amy": "alice",
    }
    assert {name: item["id"] for name, item in items.items()} == made
    assert items["ben"]["status_reason"] == "asks for a person"
    assert items["ann"]["status_reason"] is None


def test_they_come_page_by_page(admin: Any, made: dict[str, str]) -> None:
    names, query = [], {"limit": "3"}
    while True:
        page = admin("GET", "/admin/sessions", query=query).json
        names.append([item["name"] for item in page["items"]])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert names == [["bea", "ann", "ben"], ["amy"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "open"}, "status"),
        ({"limit": "101"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
    ],
)
def test_a_wrong_filter_is_named(admin: Any, query: dict[str, str], field: str) -> None:
    answer = admin("GET", "/admin/sessions", query=query)

    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_anybodys_transcript_can_be_read(admin: Any, aged: Aged) -> None:
    session_id = aged.session(days=8, turns=2, user="bob")

    newest = admin("GET", f"/admin/sessions/{session_id}/messages", query={"limit": "1"}).json
    oldest = admin("GET", f"/admin/sessions/{session_id}/messages", query={"order": "asc"}).json

    said = ["question 1", "answer: question 1", "question 2", "answer: question 2"]
    assert [item["content"] for item in oldest["items"]] == said
    assert [item["content"] for item in newest["items"]] == said[-1:]
    assert newest["next_cursor"] is not None


def test_an_escalated_session_is_set_back_to_active(api: Api, admin: Any, aged: Aged) -> None:
    session_id = aged.session(days=1, status="escalated", user="bob")
    aged.sql.execute("UPDATE sessions SET status_reason = 'asks for a person'")
    message = ("POST", f"/sessions/{session_id}/messages", {"text": "hello"})
    assert api(*message, user="bob").json["code"] == "session_not_active"

    answer = admin("PATCH", f"/admin/sessions/{session_id}", {"status": "active"})

    assert answer.status == 200
    shown = answer.json
    assert (shown["status"], shown["status_reason"], shown["user_id"]) == ("active", None, "bob")
    assert api(*message, user="bob").status == 201


def test_the_same_status_keeps_its_reason(admin: Any, aged: Aged) -> None:
    session_id = aged.session(days=1, status="escalated")
    aged.sql.execute("UPDATE sessions SET status_reason = 'asks for a person'")

    answer = admin("PATCH", f"/admin/sessions/{session_id}", {"status": "escalated"})

    assert answer.json["status_reason"] == "asks for a person"


@pytest.mark.parametrize("body", [{}, {"status": "open"}, {"status": "active", "name": "mine"}])
def test_only_the_status_can_be_changed(admin: Any, aged: Aged, body: dict[str, str]) -> None:
    session_id = aged.session(days=1, name="theirs")
    before = aged.rows()

    assert admin("PATCH", f"/admin/sessions/{session_id}", body).status == 422

    assert aged.rows() == before


def test_a_page_looks_through_so_many_sessions_and_others_follow(
    api: Api, admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_list, "LOOKED_AT", 2)
    where = ["web", "api", "api", "api", "cli", "web", "web"]
    made = [str(aged.session(days=n + 1, platform=name)) for n, name in enumerate(where)]
    # A session that moves is placed by its turns, which are as old as the session here.
    aged.sql.execute("UPDATE sessions SET created_at = last_activity_at")
    aged.sql.execute(
        "UPDATE turns t SET created_at = s.last_activity_at, started_at = s.last_activity_at,"
        " ended_at = s.last_activity_at FROM sessions s WHERE s.id = t.session_id"
    )
    pages: list[list[str]] = []
    query: dict[str, str] = {"platform": "web"}
    while True:
        page = admin("GET", "/admin/sessions", query=query).json
        pages.append([session["id"] for session in page["items"]])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        if len(pages) == 1:  # one that has moved meanwhile is found in its place all the same
            sent = api("POST", f"/sessions/{made[5]}/messages", {"text": "hello"})
            assert sent.status == 201

    assert pages == [[made[0]], [], [made[5], made[6]], []]
