"""GET and PATCH /sessions/{session_id}."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem, wrong_fields

NOBODYS = "01939d5c-2c00-7000-8000-0000000000ff"


def read(api: Api, session_id: str) -> dict[str, Any]:
    """Return the session as every answer has it: only this one tells what its turns took."""
    session: dict[str, Any] = api("GET", f"/sessions/{session_id}").json
    del session["usage"]
    return session


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "shopping"},
        {"name": None},
        {"status": "ended"},
        {"status": "escalated"},
        {"metadata": {"other": [1]}},
        {"metadata": {}},
        {"name": "shopping", "status": "ended", "metadata": {"all": "of them"}},
    ],
)
def test_only_fields_that_are_given_change(api: Api, changes: dict[str, Any]) -> None:
    before = api("POST", "/sessions", {"name": "groceries", "metadata": {"team": "home"}}).json

    answer = api("PATCH", f"/sessions/{before['id']}", changes)

    assert answer.status == 200
    after = answer.json
    assert after == before | changes | {"updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert read(api, before["id"]) == after


def test_a_change_of_nothing_changes_nothing(api: Api) -> None:
    before = read(api, api.new_session(name="groceries"))

    assert api("PATCH", f"/sessions/{before['id']}", {}).json == before
    assert read(api, before["id"]) == before


def test_a_session_can_be_given_the_name_that_it_has(api: Api) -> None:
    session_id = api.new_session(name="groceries")

    assert api("PATCH", f"/sessions/{session_id}", {"name": "groceries"}).status == 200


def test_a_name_that_another_session_has_is_refused_and_nothing_changes(api: Api) -> None:
    api.new_session(name="groceries")
    other = read(api, api.new_session(name="shopping"))

    answer = api("PATCH", f"/sessions/{other['id']}", {"name": "groceries", "status": "ended"})

    problem(answer, 409, "name_taken")
    assert read(api, other["id"]) == other


def test_a_name_that_another_user_has_is_free(api: Api) -> None:
    api.new_session(name="groceries", user="bob")
    session_id = api.new_session()

    assert api("PATCH", f"/sessions/{session_id}", {"name": "groceries"}).status == 200


def test_sessions_may_lose_their_names(api: Api) -> None:
    ids = [api.new_session(name=name) for name in ("one", "two")]

    assert [api("PATCH", f"/sessions/{one}", {"name": None}).status for one in ids] == [200, 200]


def test_a_session_that_ended_can_be_active_again(api: Api) -> None:
    session_id = api.new_session()
    api("PATCH", f"/sessions/{session_id}", {"status": "ended"})
    problem(
        api("POST", f"/sessions/{session_id}/messages", {"text": "help"}),
        409,
        "session_not_active",
    )

    api("PATCH", f"/sessions/{session_id}", {"status": "active"})

    assert api("POST", f"/sessions/{session_id}/messages", {"text": "help"}).status == 201


_REFUSED: list[tuple[Any, str]] = [
    ({"name": ""}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"name": 1}, "name"),
    ({"status": None}, "status"),
    ({"status": "Active"}, "status"),
    ({"status": "deleted"}, "status"),
    ({"metadata": None}, "metadata"),
    ({"metadata": {"x": "x" * 16_384}}, "metadata"),
    ({"agent": "assistant"}, "agent"),
    ({"platform": "web"}, "platform"),
    ({"id": NOBODYS}, "id"),
    ([], "body"),
    (None, "body"),
]


def test_fields_that_cannot_be_taken_are_named_and_change_nothing(api: Api) -> None:
    before = read(api, api.new_session(name="groceries"))
    path = f"/sessions/{before['id']}"

    named = [wrong_fields(api("PATCH", path, body)) for body, _ in _REFUSED]

    assert named == [[field] for _, field in _REFUSED]
    assert read(api, before["id"]) == before


def test_a_session_that_is_not_there_is_not_found(api: Api) -> None:
    for method, body in (("GET", None), ("PATCH", {"name": "n"}), ("PATCH", {}), ("DELETE", None)):
        problem(api(method, f"/sessions/{NOBODYS}", body), 404, "not_found")


def test_what_is_no_id_is_named(api: Api) -> None:
    for session_id in ("1", "nobody", NOBODYS + "0", NOBODYS[:-1], "a%00b", "%20"):
        assert wrong_fields(api("GET", f"/sessions/{session_id}")) == ["session_id"], session_id


def test_a_change_does_not_count_as_activity(api: Api, sql: psycopg.Connection) -> None:
    before = read(api, api.new_session(name="groceries"))

    api("PATCH", f"/sessions/{before['id']}", {"name": "shopping", "metadata": {"a": 1}})

    assert read(api, before["id"])["last_activity_at"] == before["last_activity_at"]
