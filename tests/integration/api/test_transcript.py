"""The transcript and the turns of a session: what they show, and paging while turns are added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parley.repository.turns import Ending, TurnRepository, Usage
from parley_testing.api.handlers import Api
from parley_testing.api.page_by_page import read_pages
from parley_testing.api.problems import problem, wrong_fields
from parley_testing.stores.talk import begin, queue, request, say

NOBODYS = "01939d5c-2c00-7000-8000-0000000000ff"


def converse(turns: TurnRepository, session_id: str, count: int) -> list[str]:
    """Say so many things and give all that was said, oldest first."""
    said = []
    for number in range(count):
        say(turns, request("alice", session_id, f"{number}?"), f"{number}!")
        said += [f"{number}?", f"{number}!"]
    return said


def contents(items: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in items]


def test_the_transcript_is_what_was_said_newest_first(api: Api) -> None:
    session_id = api.new_session()
    first = api("POST", f"/sessions/{session_id}/messages", {"text": "add milk"}).json
    second = api("POST", f"/sessions/{session_id}/messages", {"text": "help"}).json

    page = api("GET", f"/sessions/{session_id}/messages").json

    assert page["items"] == [
        second["reply"], second["user_message"], first["reply"], first["user_message"]
    ]  # fmt: skip
    assert page["next_cursor"] is None


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_every_message_comes_once_in_either_order(
    api: Api, turns: TurnRepository, limit: int
) -> None:
    session_id = api.new_session()
    said = converse(turns, session_id, 4)
    path, query = f"/sessions/{session_id}/messages", {"limit": str(limit)}

    assert contents(read_pages(api, path, query)) == said[::-1]
    assert contents(read_pages(api, path, query | {"order": "desc"})) == said[::-1]
    assert contents(read_pages(api, path, query | {"order": "asc"})) == said


def adding(turns: TurnRepository, session_id: str) -> Callable[[int], None]:
    """Complete the turn that runs, say something else, and begin another, a few times."""
    running = [begin(turns, request("alice", session_id, "began before?"))]

    def add(page: int) -> None:
        if page < 5:
            turns.complete(running.pop(), "completed meanwhile!", Usage(), None)
            say(turns, request("alice", session_id, f"meanwhile {page}?"), f"meanwhile {page}!")
            running.append(begin(turns, request("alice", session_id, f"began {page}?")))

    return add


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_newest_first_the_transcript_is_as_it_was_when_the_first_page_was_read(
    api: Api, turns: TurnRepository, limit: int
) -> None:
    session_id = api.new_session()
    said = converse(turns, session_id, 4)
    meanwhile = adding(turns, session_id)

    read = read_pages(
        api, f"/sessions/{session_id}/messages", {"limit": str(limit)}, between=meanwhile
    )

    assert contents(read) == [*said, "began before?"][::-1]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_oldest_first_what_is_said_meanwhile_comes_too(
    api: Api, turns: TurnRepository, limit: int
) -> None:
    session_id = api.new_session()
    said = converse(turns, session_id, 4)
    meanwhile = adding(turns, session_id)
    path, query = f"/sessions/{session_id}/messages", {"limit": str(limit), "order": "asc"}

    read = contents(read_pages(api, path, query, between=meanwhile))

    # Whatever the first page's moment: all that there is in the end, in order, once.
    assert read == contents(read_pages(api, path, query | {"limit": "100"}))
    assert read[: len(said) + 2] == [*said, "began before?", "completed meanwhile!"]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_turns_are_as_they_were_when_the_first_page_was_read(
    api: Api, turns: TurnRepository, limit: int
) -> None:
    session_id = api.new_session()
    converse(turns, session_id, 4)
    meanwhile = adding(turns, session_id)

    read = read_pages(
        api, f"/sessions/{session_id}/turns", {"limit": str(limit)}, between=meanwhile
    )

    assert [turn["number"] for turn in read] == [5, 4, 3, 2, 1]


def test_a_list_of_turns_shows_each_in_its_state(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    completed = say(turns, request("alice", session_id))
    failed = begin(turns, request("alice", session_id))
    ending = Ending("failed", "model_failed", "The model gave no answer.", remembered=False)
    turns.stop(failed, ending, Usage(1, 20, 0), None)
    running = begin(turns, request("alice", session_id))
    queued = turns.begin(request("alice", session_id), enqueue=True)

    listed = api("GET", f"/sessions/{session_id}/turns").json["items"]

    ids = [queued.turn_id, running.id, failed.id, completed.id]
    assert [turn["id"] for turn in listed] == [str(one) for one in ids]
    assert [turn["status"] for turn in listed] == ["queued", "running", "failed", "completed"]
    assert listed[2]["error"] == {"code": "model_failed", "detail": "The model gave no answer."}
    assert [turn["error"] for turn in listed if turn["status"] != "failed"] == [None] * 3
    usage = listed[3]["usage"]
    assert (usage["model_calls"], usage["input_tokens"], usage["output_tokens"]) == (1, 2, 3)
    assert (usage["cost_usd"], usage["calls_without_cost"]) == (None, 1)
    assert [turn["started_at"] is None for turn in listed] == [True, False, False, False]
    assert [turn["ended_at"] is None for turn in listed] == [True, True, False, False]


def test_turns_can_be_asked_for_by_their_state(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    converse(turns, session_id, 3)
    queue(turns, request("alice", session_id))

    found = {
        status: [
            turn["number"]
            for turn in read_pages(
                api, f"/sessions/{session_id}/turns", {"status": status, "limit": "2"}
            )
        ]
        for status in ("completed", "queued", "running", "failed", "cancelled")
    }

    assert found == {
        "completed": [3, 2, 1], "queued": [4], "running": [], "failed": [], "cancelled": []
    }  # fmt: skip


def test_a_turn_shows_what_was_said_and_done_in_it(api: Api) -> None:
    session_id = api.new_session()
    sent = api("POST", f"/sessions/{session_id}/messages", {"text": "add milk"})

    shown = api("GET", sent.headers["location"]).json

    steps = shown.pop("steps")
    assert shown == sent.json
    assert [(step["kind"], step["name"]) for step in steps] == [
        ("model", "offline"),
        ("tool", "add_task"),
        ("model", "offline"),
    ]
    assert {(step["outcome"], step["error"]) for step in steps} == {("succeeded", None)}
    assert all(step["milliseconds"] >= 0 for step in steps)
    assert [step["call_id"] is None for step in steps] == [True, False, True]


def test_a_turn_that_runs_has_no_reply_yet(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id, "patience"))

    shown = api("GET", f"/sessions/{session_id}/turns/{turn.id}").json

    assert (shown["turn"]["status"], shown["reply"]) == ("running", None)
    assert shown["user_message"]["content"] == "patience"


def test_a_turn_that_was_let_go_of_is_listed_and_shown(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))
    assert turns.release(turn)

    listed = api("GET", f"/sessions/{session_id}/turns").json["items"]
    shown = api("GET", f"/sessions/{session_id}/turns/{turn.id}").json

    assert listed == [shown["turn"]]
    assert shown["turn"]["status"] == "running"


def test_a_turn_is_found_in_its_own_session_only(api: Api, turns: TurnRepository) -> None:
    session_id, other = api.new_session(), api.new_session()
    turn = say(turns, request("alice", session_id))

    problem(api("GET", f"/sessions/{other}/turns/{turn.id}"), 404, "not_found")


def test_an_empty_session_has_empty_lists(api: Api) -> None:
    session_id = api.new_session()

    for name in ("messages", "turns"):
        page = api("GET", f"/sessions/{session_id}/{name}")
        assert (page.status, page.json) == (200, {"items": [], "next_cursor": None})


def test_a_session_that_is_not_there_has_no_lists(api: Api) -> None:
    for path in ("messages", "turns", f"turns/{NOBODYS}"):
        problem(api("GET", f"/sessions/{NOBODYS}/{path}"), 404, "not_found")


def test_what_cannot_be_taken_is_named(api: Api) -> None:
    session_id = api.new_session()
    refused: dict[str, list[dict[str, str]]] = {
        "messages": [{"order": "up"}, {"order": ""}, {"limit": "0"}, {"limit": "101"}],
        "turns": [{"status": "active"}, {"limit": "x"}],
        "turns/nobody": [{}],
    }

    for path, queries in refused.items():
        for query in queries:
            named = wrong_fields(api("GET", f"/sessions/{session_id}/{path}", query=query))
            assert named == (list(query) or ["turn_id"])
