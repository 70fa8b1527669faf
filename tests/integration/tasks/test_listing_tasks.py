"""GET /tasks: filters, order, pages."""

from __future__ import annotations

from typing import Any

import pytest

from parley_testing.api.handlers import Api
from parley_testing.api.page_by_page import read_pages
from parley_testing.api.problems import wrong_fields


def make(api: Api, title: str, user: str = "alice", **fields: Any) -> str:
    answer = api("POST", "/tasks", {"title": title} | fields, user=user)
    assert answer.status == 201, answer
    task_id: str = answer.json["id"]
    return task_id


def titles(api: Api, user: str = "alice", **query: str) -> list[str]:
    answer = api("GET", "/tasks", user=user, query=query)
    assert answer.status == 200, answer
    return [task["title"] for task in answer.json["items"]]


def test_tasks_come_whole_oldest_first_and_only_ones_own(api: Api) -> None:
    make(api, "his", user="bob")
    made = [api("POST", "/tasks", {"title": title}).json for title in ("one", "two", "three")]

    assert api("GET", "/tasks").json == {"items": made, "next_cursor": None}
    assert titles(api, user="bob") == ["his"]
    assert titles(api, user="carol") == []


def test_each_filter_leaves_what_matches(api: Api) -> None:
    make(api, "Buy MILK", due_at="2026-12-24T18:00:00Z")
    make(api, "call mum", notes="about the Milk", due_at="2026-12-24T18:00:01Z")
    done = make(api, "100%_done\\")
    api("PATCH", f"/tasks/{done}", {"completed": True})

    found = {
        (name, value): titles(api, **{name: value})
        for name, value in (
            ("completed", "true"), ("completed", "false"),
            ("due_before", "2026-12-24T18:00:01Z"), ("due_before", "2026-12-24T19:00:02+01:00"),
            ("due_before", "2026-12-24T18:00:00Z"),
            ("text", "milk"), ("text", "UM"), ("text", "%_d"), ("text", "\\"), ("text", "%"),
            ("text", "b_y"), ("text", "bread"),
        )
    }  # fmt: skip

    milk, mum, percent = "Buy MILK", "call mum", "100%_done\\"
    assert found == {
        ("completed", "true"): [percent],
        ("completed", "false"): [milk, mum],
        ("due_before", "2026-12-24T18:00:01Z"): [milk],
        ("due_before", "2026-12-24T19:00:02+01:00"): [milk, mum],
        ("due_before", "2026-12-24T18:00:00Z"): [],
        ("text", "milk"): [milk, mum],
        ("text", "UM"): [mum],
        ("text", "%_d"): [percent],
        ("text", "\\"): [percent],
        ("text", "%"): [percent],
        ("text", "b_y"): [],
        ("text", "bread"): [],
    }


def test_filters_are_taken_together(api: Api) -> None:
    make(api, "buy milk", due_at="2026-12-24T18:00:00Z")
    make(api, "spill milk")

    query = {"text": "milk", "completed": "false", "due_before": "2027-01-01T00:00:00Z"}

    assert titles(api, **query) == ["buy milk"]
    assert titles(api, **query | {"completed": "true"}) == []


def test_text_that_cannot_be_stored_is_looked_for_as_it_was_stored(api: Api) -> None:
    make(api, "a\0b")

    assert titles(api, text="a\0b") == ["ab"]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_each_task_comes_once_whatever_happens_between_two_pages(api: Api, limit: int) -> None:
    made = [make(api, str(number), notes="wanted") for number in range(6)]
    make(api, "another")

    def meanwhile(page: int) -> None:
        if page == 0:
            make(api, "late", notes="wanted")
            api("DELETE", f"/tasks/{made[0]}")
        for task_id in made[1:]:
            api("PATCH", f"/tasks/{task_id}", {"title": f"changed {page}", "completed": True})

    read = read_pages(api, "/tasks", {"limit": str(limit), "text": "wanted"}, between=meanwhile)

    assert [task["id"] for task in read[:6]] == made
    assert [task["title"] for task in read[6:]] == ["late"]


def test_a_page_has_twenty_unless_asked_and_the_last_says_so(api: Api) -> None:
    for number in range(21):
        make(api, str(number))

    page = api("GET", "/tasks").json

    assert len(page["items"]) == 20
    assert page["next_cursor"] is not None
    assert api("GET", "/tasks", query={"limit": "21"}).json["next_cursor"] is None


def test_what_cannot_be_taken_is_named(api: Api) -> None:
    refused: list[dict[str, str]] = [
        {"limit": "0"}, {"limit": "101"}, {"completed": "maybe"}, {"completed": ""},
        {"due_before": "soon"}, {"due_before": "2026-12-24T18:00:00"},
        {"due_before": "9999-12-31T23:59:59-14:00"}, {"text": ""}, {"text": "x" * 201},
        {"cursor": "x" * 1001},
    ]  # fmt: skip

    named = [wrong_fields(api("GET", "/tasks", query=query)) for query in refused]

    assert named == [list(query) for query in refused]
