"""Turns on the command line: listed, shown, cancelled, and stopped with Ctrl-C in a chat."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from parley_testing.streams.event_stream import (
    completed,
    delta,
    ended,
    numbered,
    replied,
    said,
    started,
    wire,
)

Answered = Callable[[str | None], dict[str, Any]]
TURN = UUID(int=8)
NONE: dict[str, Any] = {"items": [], "next_cursor": None}


@pytest.fixture
def turns(session: dict[str, Any]) -> str:
    """Where the session's turns are."""
    return f"/sessions/{session['id']}/turns"


@pytest.fixture
def running(api: Any, session: dict[str, Any], turns: str, answered: Answered) -> dict[str, Any]:
    """The session has a turn that runs; it was said `hi`."""
    view = answered(None)
    view["turn"]["status"] = "running"
    api.answers("GET /sessions", {"items": [session], "next_cursor": None})
    api.answers(f"GET {turns}", {"items": [view["turn"]], "next_cursor": None})
    api.answers(f"GET {turns}/{TURN}", view | {"steps": []})
    return view


def cancelled(view: dict[str, Any], outcome: str, **fields: Any) -> dict[str, Any]:
    """What cancelling the turn answers."""
    status = "completed" if outcome == "too_late" else "cancelled"
    error = (
        None if outcome == "too_late" else {"code": "turn_cancelled", "detail": "Milk is there."}
    )
    turn = view["turn"] | {"status": status, "error": error}
    return view | {"turn": turn, "outcome": outcome} | fields


def test_turns_are_listed(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any]
) -> None:
    result = parley("turns", "list", "groceries", "--status", "running")

    assert result.stdout == f"1\trunning\ttodo\t{session['created_at']}\t{TURN}\n"
    assert api.sent()[-1].endswith("turns?status=running&limit=21")


def test_a_turn_is_shown_with_what_was_said(parley: Any, running: dict[str, Any]) -> None:
    result = parley("turns", "show", "groceries", str(TURN))

    assert "turn.status\trunning\n" in result.stdout
    assert "user_message.content\thi\n" in result.stdout


def test_a_turn_is_shown_with_what_was_done_in_it(
    parley: Any, api: Any, running: dict[str, Any], turns: str, session: dict[str, Any]
) -> None:
    step = {"kind": "tool", "outcome": "succeeded", "ended_at": session["created_at"]}
    steps = [
        step | {"name": "add_task", "error": None, "milliseconds": 1200, "call_id": "c1"},
        step
        | {"name": "price", "outcome": "failed", "error": "KeyError", "milliseconds": 3}
        | {"call_id": "c2"},
        step | {"name": "old", "error": None, "milliseconds": None, "call_id": None},
    ]
    api.answers(f"GET {turns}/{TURN}", running | {"steps": steps})

    result = parley("turns", "show", "groceries", str(TURN))

    shown = [line for line in result.stdout.splitlines() if line.startswith("step")]
    assert shown == [
        "step\ttool add_task succeeded, 1,200 ms, c1",
        "step\ttool price failed (KeyError), 3 ms, c2",
        "step\ttool old succeeded",
    ]


def test_anybodys_turn_is_found_by_its_id_or_its_requests(
    parley: Any, api: Any, running: dict[str, Any]
) -> None:
    found = running | {"steps": [], "user_id": "anna", "request_id": "req/1"}
    api.answers("GET /admin/turns/req/1", found)

    result = parley("turns", "find", "req/1")

    assert result.exit_code == 0, result.stderr
    assert "user_id\tanna\n" in result.stdout
    assert "turn.status\trunning\n" in result.stdout


def test_the_latest_turns_of_all_users_are_listed(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any]
) -> None:
    failed = running["turn"] | {
        "status": "failed",
        "error": {"code": "model_failed", "detail": "no"},
        "user_id": "anna",
        "attempt": 2,
        "crashes": 1,
    }
    api.answers("GET /admin/turns", {"items": [failed], "next_cursor": None})

    result = parley("turns", "latest", "--status", "failed", "--user", "anna")

    assert result.exit_code == 0, result.stderr
    begun = session["created_at"]
    assert result.stdout == f"{TURN}\tanna\ttodo\tfailed\t{begun}\tmodel_failed\n"
    assert api.sent()[-1].endswith("/admin/turns?status=failed&user_id=anna&limit=20")


@pytest.mark.parametrize("named", [(), (str(TURN),)], ids=["the running one", "by id"])
@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("cancelled", "Milk is there."),
        ("already_cancelled", "The turn was cancelled before."),
        ("too_late", "Too late: the turn has completed."),
    ],
)
def test_cancelling_says_what_came_of_it(
    parley: Any,
    api: Any,
    running: dict[str, Any],
    turns: str,
    named: tuple[str, ...],
    outcome: str,
    told: str,
) -> None:
    api.answers(f"POST {turns}/{TURN}/cancel", cancelled(running, outcome))

    result = parley("turns", "cancel", "groceries", *named)

    assert (result.exit_code, result.stdout) == (0, f"{told}\n")


def test_there_may_be_nothing_to_cancel(
    parley: Any, api: Any, running: dict[str, Any], turns: str
) -> None:
    api.answers(f"GET {turns}", NONE)

    result = parley("turns", "cancel", "groceries")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "parley: No turn of this session is running.\n"


def test_ctrl_c_in_a_chat_cancels_the_turn_and_the_chat_goes_on(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any], turns: str
) -> None:
    api.interrupted(f"POST /sessions/{session['id']}/messages/stream")
    api.answers(f"POST {turns}/{TURN}/cancel", cancelled(running, "cancelled"))

    result = parley("chat", "--session", "groceries", stdin="hi\n/nothing\n")

    assert result.exit_code == 1  # for /nothing
    assert "Milk is there.\nThere is no /nothing" in result.stderr
    assert api.sent()[-1] == f"POST {turns}/{TURN}/cancel"


def test_a_reply_that_came_before_the_cancelling_is_shown(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any], turns: str,
    answered: Answered,
) -> None:  # fmt: skip
    api.interrupted(f"POST /sessions/{session['id']}/messages/stream")
    late = cancelled(running, "too_late", reply=answered("Here it is.")["reply"])
    api.answers(f"POST {turns}/{TURN}/cancel", late)

    result = parley("chat", "--session", "groceries", stdin="hi\n")

    assert result.stdout == "Here it is.\n"
    assert "Too late" in result.stderr


def test_ctrl_c_in_the_middle_of_a_reply_cancels_its_turn(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any], turns: str
) -> None:
    begun = wire(replied("Let me", " see.")[:2])
    api.interrupted(f"POST /sessions/{session['id']}/messages/stream", after=begun)
    api.answers(f"POST {turns}/{TURN}/cancel", cancelled(running, "cancelled"))

    result = parley("chat", "--session", "groceries", stdin="something else\n/nothing\n")

    assert (result.exit_code, result.stdout) == (1, "")  # for /nothing
    assert "Milk is there.\nThere is no /nothing" in result.stderr
    # Its first event named it, so that it need not be looked for.
    assert [sent for sent in api.sent() if turns in sent] == [f"POST {turns}/{TURN}/cancel"]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_turn_that_ends_without_a_reply_in_a_chat_says_why(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any], how: str
) -> None:
    stopped = numbered(started(), delta("Let"), ended(how, "It was no use.", interrupted=True))
    api.streams(f"POST /sessions/{session['id']}/messages/stream", stopped, replied("Yes."))

    result = parley("chat", "--session", "groceries", stdin="hi\nagain\n")

    # A script that pipes messages in must see that one of them got no reply.
    assert (result.exit_code, result.stdout) == (1, "Yes.\n")
    assert "It was no use.\n" in result.stderr


def test_a_reply_that_is_too_long_for_an_event_is_read(
    parley: Any, api: Any, running: dict[str, Any], turns: str, answered: Answered
) -> None:
    long = numbered(started(), delta("lo"), said(None), completed())
    api.streams(f"GET {turns}/{TURN}/events", long)
    api.answers(f"GET {turns}/{TURN}", answered("long") | {"steps": []})

    result = parley("turns", "follow", "groceries", str(TURN))

    assert (result.exit_code, result.stdout) == (0, "long\n")


def test_a_turn_is_followed_to_its_reply(
    parley: Any, api: Any, running: dict[str, Any], turns: str
) -> None:
    api.streams(f"GET {turns}/{TURN}/events", replied("**Hel", "lo**"))

    result = parley("turns", "follow", "groceries", str(TURN))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "**Hello**\n", "")


def test_what_was_done_in_a_turn_that_is_followed_is_told_beside_its_reply(
    parley: Any,
    api: Any,
    running: dict[str, Any],
    turns: str,
    session: dict[str, Any],
) -> None:
    api.streams(f"GET {turns}/{TURN}/events", replied("Hel", "lo"))
    done = {"outcome": "succeeded", "error": None, "ended_at": session["created_at"]}
    steps = [
        done | {"kind": "model", "name": "small", "milliseconds": 800, "call_id": None},
        done | {"kind": "tool", "name": "add_task", "milliseconds": 3, "call_id": "c1"},
    ]
    api.answers(f"GET {turns}/{TURN}", running | {"steps": steps})

    result = parley("turns", "follow", "groceries", str(TURN))

    assert (result.exit_code, result.stdout) == (0, "Hello\n")
    assert result.stderr == (
        "→ model small succeeded, 800 ms\n→ tool add_task succeeded, 3 ms, c1\n"
    )


def test_its_events_are_a_line_of_json_each(
    parley: Any, api: Any, running: dict[str, Any], turns: str
) -> None:
    events = replied("Hel\x1b[2J", "lo")
    api.streams(f"GET {turns}/{TURN}/events", events[2:])

    result = parley("turns", "follow", "groceries", str(TURN), "--after", "2", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, lines) == (0, events[2:])
    assert "\x1b" not in result.stdout
    assert api.sent()[-1].endswith("/events?after=2")


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_following_a_turn_that_has_no_reply_is_no_success(
    parley: Any, api: Any, running: dict[str, Any], turns: str, how: str, options: tuple[str, ...]
) -> None:
    api.streams(f"GET {turns}/{TURN}/events", numbered(started(), ended(how, "No use.")))

    result = parley("turns", "follow", "groceries", str(TURN), *options)

    assert (result.exit_code, result.stderr) == (1, "parley: No use.\n")
    assert len(result.stdout.splitlines()) == (2 if options else 0)


def test_a_turn_that_is_not_there_is_a_sentence(
    parley: Any, api: Any, running: dict[str, Any], turns: str
) -> None:
    result = parley("turns", "follow", "groceries", str(TURN))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "parley: There is no such.\n"


def test_another_clients_turn_is_left_alone(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any]
) -> None:
    api.interrupted(f"POST /sessions/{session['id']}/messages/stream")

    result = parley("chat", "--session", "groceries", stdin="something else\n")

    assert "No turn of this message runs" in result.stderr
    assert not [sent for sent in api.sent() if "cancel" in sent]


def test_ctrl_c_again_stops_waiting_for_that_too(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any], turns: str
) -> None:
    api.interrupted(f"POST /sessions/{session['id']}/messages/stream")
    api.interrupted(f"POST {turns}/{TURN}/cancel")

    result = parley("chat", "--session", "groceries", stdin="hi\n/nothing\n")

    assert "Stopped waiting." in result.stderr
    assert "There is no /nothing" in result.stderr


@pytest.mark.parametrize("status", ["running", "completed"])
@pytest.mark.parametrize("command", ["show", "follow"])
def test_the_running_or_last_turn_is_meant_where_none_is_named(
    parley: Any, api: Any, running: dict[str, Any], turns: str, command: str, status: str
) -> None:
    if status != "running":
        api.answers(f"GET {turns}", NONE, {"items": [running["turn"]], "next_cursor": None})
    api.streams(f"GET {turns}/{TURN}/events", replied("Yes."))

    result = parley("turns", command, "groceries")

    assert result.exit_code == 0
    assert any(f"{turns}/{TURN}" in sent for sent in api.sent())


def test_a_session_without_turns_has_none_to_follow(
    parley: Any, api: Any, running: dict[str, Any], turns: str
) -> None:
    api.answers(f"GET {turns}", NONE)

    result = parley("turns", "follow", "groceries")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "parley: This session has no turn yet.\n"


@pytest.mark.parametrize("command", ["show", "follow", "cancel"])
def test_a_turn_is_named_by_its_number_too(
    parley: Any, api: Any, running: dict[str, Any], turns: str, command: str
) -> None:
    newer = [
        running["turn"] | {"id": str(UUID(int=90 + number)), "number": number} for number in (3, 2)
    ]
    api.answers(
        f"GET {turns}",
        {"items": newer, "next_cursor": "further"},
        {"items": [running["turn"]], "next_cursor": None},
    )
    api.streams(f"GET {turns}/{TURN}/events", replied("Yes."))
    api.answers(f"POST {turns}/{TURN}/cancel", cancelled(running, "cancelled"))

    result = parley("turns", command, "groceries", "1")

    assert result.exit_code == 0, result.stderr
    assert any(f"{turns}/{TURN}" in sent for sent in api.sent())


@pytest.mark.parametrize("command", ["show", "follow", "cancel"])
@pytest.mark.parametrize("number", ["0", "2"])
def test_a_number_that_no_turn_has_is_said(
    parley: Any, running: dict[str, Any], command: str, number: str
) -> None:
    result = parley("turns", command, "groceries", number)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"parley: This session has no turn {number}.\n"
