"""Turns of all users: what runs, what waits, what failed and why."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from parley.ids import new_id
from parley.repository import all_turns
from parley.repository.turns import Ending, TurnRepository, Usage
from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import wrong_fields
from parley_testing.stores.talk import begin, queue, request, say


@pytest.fixture
def made(api: Api, turns: TurnRepository) -> dict[str, str]:
    """Turns of two users by what became of them, in the order in which they were begun."""
    ada, bob = api.new_session("ada"), api.new_session("bob")
    done = say(turns, request("ada", ada))
    failing = begin(turns, request("bob", bob))
    turns.stop(
        failing,
        Ending("failed", "model_failed", "The model said no.", remembered=False),
        Usage(),
        None,
    )
    running = begin(turns, request("ada", ada))
    waiting = new_id()
    queue(turns, request("ada", api.new_session("ada"), turn_id=waiting))
    named = {"done": done.id, "failed": failing.id, "running": running.id, "waiting": waiting}
    return {name: str(turn_id) for name, turn_id in named.items()} | {"session": ada}


def listed(answer: Answer, made: dict[str, str]) -> list[str]:
    assert answer.status == 200, answer
    return named(answer.json["items"], made)


def named(turns: list[Any], made: dict[str, str]) -> list[str]:
    names = {turn_id: name for name, turn_id in made.items()}
    return [names[turn["id"]] for turn in turns]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["waiting", "running", "failed", "done"]),
        ({"status": "running"}, ["running"]),
        ({"status": "queued"}, ["waiting"]),
        ({"status": "failed"}, ["failed"]),
        ({"status": "cancelled"}, []),
        ({"user_id": "ada"}, ["waiting", "running", "done"]),
        ({"user_id": "ada", "status": "completed"}, ["done"]),
        ({"user_id": "ad%"}, []),
        ({"agent": "todo", "status": "running"}, ["running"]),
        ({"agent": "support"}, []),
    ],
)
def test_turns_are_found(
    admin: Any, made: dict[str, str], query: dict[str, str], found: list[str]
) -> None:
    assert listed(admin("GET", "/admin/turns", query=query), made) == found


def test_turns_of_a_session_are_found(admin: Any, made: dict[str, str]) -> None:
    query = {"session_id": made["session"], "status": "completed"}

    assert listed(admin("GET", "/admin/turns", query=query), made) == ["done"]


def test_each_says_whose_it_is_and_why_it_failed(admin: Any, made: dict[str, str]) -> None:
    (shown,) = admin("GET", "/admin/turns", query={"status": "failed"}).json["items"]

    assert (shown["user_id"], shown["attempt"], shown["crashes"]) == ("bob", 1, 0)
    assert shown["error"] == {"code": "model_failed", "detail": "The model said no."}


@pytest.mark.parametrize("query", [{}, {"user_id": "ada"}, {"status": "completed"}])
def test_pages_go_on_where_the_one_before_ended(
    admin: Any, made: dict[str, str], query: dict[str, str]
) -> None:
    whole = listed(admin("GET", "/admin/turns", query=query), made)

    paged = named(admin.one_by_one("/admin/turns", **query), made)

    assert paged == whole


def test_what_is_rare_is_looked_for_a_piece_at_a_time(
    admin: Any, made: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_turns, "LOOKED_AT", 2)

    first = admin("GET", "/admin/turns", query={"status": "failed"})
    cursor = first.json["next_cursor"]
    second = admin("GET", "/admin/turns", query={"status": "failed", "cursor": cursor})

    assert (listed(first, made), listed(second, made)) == ([], ["failed"])
    # Both looked through all that they may, so only a third knows that there is no more.
    cursor = second.json["next_cursor"]
    third = admin("GET", "/admin/turns", query={"status": "failed", "cursor": cursor})
    assert third.json == {"items": [], "next_cursor": None}


def test_what_is_open_is_found_however_old(
    admin: Any,
    made: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    api: Api,
    turns: TurnRepository,
) -> None:
    for _ in range(3):
        say(turns, request("eve", api.new_session("eve")))
    monkeypatch.setattr(all_turns, "LOOKED_AT", 2)

    answer = admin("GET", "/admin/turns", query={"status": "running"})

    assert listed(answer, made) == ["running"]
    assert answer.json["next_cursor"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "odd"),
        ("status", ""),
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "x"),
        ("session_id", "x"),
        ("cursor", "x"),
        ("cursor", "W10"),
        ("agent", "a" * 101),
        ("user_id", "a" * 1001),
    ],
)
def test_what_cannot_be_taken_is_named(admin: Any, field: str, value: str) -> None:
    assert wrong_fields(admin("GET", "/admin/turns", query={field: value})) == [field]


def test_whose_turns_were_asked_for_is_recorded(
    admin: Any, made: dict[str, str], sql: psycopg.Connection
) -> None:
    admin("GET", "/admin/turns", query={"user_id": "ada"})

    ((action, details),) = sql.execute("SELECT action, details FROM audit_records").fetchall()
    assert (action, details["query"]) == ("GET /admin/turns", {"user_id": ["ada"]})
