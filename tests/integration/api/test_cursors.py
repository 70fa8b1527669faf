"""Cursors that a list did not give."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from parley.repository.turns import TurnRepository
from parley_testing.api.handlers import Api
from parley_testing.api.problems import wrong_fields
from parley_testing.stores.talk import request, say


def made_by_hand(json: str) -> str:
    return urlsafe_b64encode(json.encode()).decode().rstrip("=")


@pytest.fixture
def lists(api: Api, turns: TurnRepository) -> dict[str, str]:
    """The paths of all paged lists, each with a good cursor."""
    session_id = api.new_session()
    api.new_session()
    for _ in range(2):
        say(turns, request("alice", session_id))
        assert api("POST", "/tasks", {"title": "t"}).status == 201
    session = f"/sessions/{session_id}"
    paths = ["/sessions", f"{session}/messages", f"{session}/turns", "/tasks"]
    cursors = [api("GET", path, query={"limit": "1"}).json["next_cursor"] for path in paths]
    assert all(cursors)
    return dict(zip(paths, cursors, strict=True))


def test_text_that_is_no_cursor_is_refused(api: Api, lists: dict[str, str]) -> None:
    id_ = "01939d5c-2c00-7000-8000-000000000001"
    texts = [
        "", "x", "next", "🛒", "%20", "null", "0", "=", "====", "a" * 1000,
        *(
            made_by_hand(json)
            for json in (
                "", "{}", "[]", "null", "1", '"x"', "[1,2,3]", "[null]", "[-1]", "[1.5]", '["x"]',
                "[100000000000000000000]", "[2147483648]", "[1,2147483648]", "[1,-1]",
                f'["{id_}"]', f'[0,0,"{id_}"]', f'["x","x","{id_}"]',
                f'["0001-01-01T00:00:00+14:00","2026-01-01T00:00:00Z","{id_}"]',
                f'["9999-12-31T23:59:59-14:00","9999-12-31T23:59:59-14:00","{id_}"]',
                f'["2026-01-01T00:00:00","2026-01-01T00:00:00","{id_}"]',
                '["2026-01-01T00:00:00Z","2026-01-01T00:00:00Z","1"]',
            )
        ),
    ]  # fmt: skip

    for path in lists:
        for text in texts:
            named = wrong_fields(api("GET", path, query={"cursor": text}))
            assert named == ["cursor"], (path, text)


def test_a_cursor_that_lost_its_end_is_refused(api: Api, lists: dict[str, str]) -> None:
    for path, cursor in lists.items():
        for length in range(len(cursor)):
            assert wrong_fields(api("GET", path, query={"cursor": cursor[:length]})) == ["cursor"]


def test_a_cursor_of_another_list_is_refused(api: Api, lists: dict[str, str]) -> None:
    for path, cursor in lists.items():
        taken_by = [
            other for other in lists if api("GET", other, query={"cursor": cursor}).status == 200
        ]
        assert taken_by == [path]
        for other in lists.keys() - {path}:
            assert wrong_fields(api("GET", other, query={"cursor": cursor})) == ["cursor"]


def test_a_cursor_shows_nothing_of_another_users(api: Api, lists: dict[str, str]) -> None:
    for path in ("/sessions", "/tasks"):
        page = api("GET", path, user="bob", query={"cursor": lists[path]})

        assert page.json == {"items": [], "next_cursor": None}
