"""GET /sessions: filters, order and the size of a page. Paging while rows change is elsewhere."""

from __future__ import annotations

from typing import Any

from parley_testing.api.handlers import Api
from parley_testing.api.problems import wrong_fields


def ids(api: Api, user: str = "alice", **query: str) -> list[str]:
    answer = api("GET", "/sessions", user=user, query=query)
    assert answer.status == 200, answer
    return [session["id"] for session in answer.json["items"]]


def test_a_user_without_sessions_has_an_empty_list(api: Api) -> None:
    api.new_session(user="bob")

    assert api("GET", "/sessions").json == {"items": [], "next_cursor": None}


def test_sessions_come_whole_and_newest_first(api: Api) -> None:
    made = [api("POST", "/sessions", {"name": name}).json for name in ("one", "two", "three")]

    assert api("GET", "/sessions").json["items"] == made[::-1]


def test_a_message_brings_its_session_to_the_front(api: Api) -> None:
    first, second = api.new_session(), api.new_session()
    assert ids(api) == [second, first]

    api("POST", f"/sessions/{first}/messages", {"text": "help"})

    assert ids(api) == [first, second]


def test_each_filter_leaves_what_matches(api: Api) -> None:
    todo = api.new_session(name="groceries", platform="web")
    assistant = api.new_session(agent="assistant", platform="cli")
    ended = api.new_session(name="old", platform="web")
    api("PATCH", f"/sessions/{ended}", {"status": "ended"})

    found = {
        (name, value): ids(api, **{name: value})
        for name, value in (
            ("status", "active"), ("status", "ended"), ("status", "escalated"),
            ("agent", "todo"), ("agent", "assistant"), ("agent", "nobody"),
            ("name", "groceries"), ("name", "GROCERIES"), ("name", "groc"), ("name", ""),
            ("platform", "web"), ("platform", "cli"),
        )
    }  # fmt: skip

    assert found == {
        ("status", "active"): [assistant, todo],
        ("status", "ended"): [ended],
        ("status", "escalated"): [],
        ("agent", "todo"): [ended, todo],
        ("agent", "assistant"): [assistant],
        ("agent", "nobody"): [],
        ("name", "groceries"): [todo],
        ("name", "GROCERIES"): [],
        ("name", "groc"): [],
        ("name", ""): [],
        ("platform", "web"): [ended, todo],
        ("platform", "cli"): [assistant],
    }


def test_filters_are_taken_together(api: Api) -> None:
    both = api.new_session(name="groceries", platform="web")
    api.new_session(name="other", platform="web")

    assert ids(api, platform="web", name="groceries", status="active", agent="todo") == [both]
    assert ids(api, platform="cli", name="groceries") == []


def test_text_that_cannot_be_stored_is_looked_for_as_it_was_stored(api: Api) -> None:
    session_id = api("POST", "/sessions", {"name": "a\0b"}).json["id"]

    assert ids(api, name="a\0b") == [session_id]


def test_filters_stay_on_later_pages(api: Api) -> None:
    wanted = [api.new_session(platform="web") for _ in range(3)]
    for _ in range(3):
        api.new_session(platform="cli")
    query = {"platform": "web", "limit": "2"}

    first = api("GET", "/sessions", query=query).json
    second = api("GET", "/sessions", query=query | {"cursor": first["next_cursor"]}).json

    assert [session["id"] for session in first["items"] + second["items"]] == wanted[::-1]
    assert second["next_cursor"] is None


def test_a_page_has_twenty_unless_asked(api: Api) -> None:
    for _ in range(21):
        api.new_session()

    page = api("GET", "/sessions").json

    assert len(page["items"]) == 20
    assert page["next_cursor"] is not None


def test_the_last_full_page_says_that_it_is_the_last(api: Api) -> None:
    for _ in range(2):
        api.new_session()

    assert api("GET", "/sessions", query={"limit": "2"}).json["next_cursor"] is None


def test_a_page_has_1_to_100(api: Api) -> None:
    session_id = api.new_session()

    assert ids(api, limit="1") == ids(api, limit="100") == [session_id]


def test_what_cannot_be_taken_is_named(api: Api) -> None:
    refused: list[dict[str, Any]] = [
        {"limit": "0"}, {"limit": "101"}, {"limit": "-1"}, {"limit": "x"}, {"limit": ""},
        {"limit": "1.5"}, {"status": "gone"}, {"status": ""}, {"agent": "x" * 101},
        {"name": "x" * 201}, {"platform": "x" * 33}, {"cursor": "x" * 1001},
    ]  # fmt: skip

    named = [wrong_fields(api("GET", "/sessions", query=query)) for query in refused]

    assert named == [list(query) for query in refused]
