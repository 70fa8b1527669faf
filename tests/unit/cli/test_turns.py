"""Turns on the command line: listed, shown, cancelled, and stopped with Ctrl-C in a chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

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
    api.answers(f"GET {turns}/{TURN}", view)
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
    api.interrupted(f"POST /sessions/{session['id']}/messages")
    api.answers(f"POST {turns}/{TURN}/cancel", cancelled(running, "cancelled"))

    result = parley("chat", "--session", "groceries", stdin="hi\n/nothing\n")

    assert result.exit_code == 0
    assert "Milk is there.\nThere is no /nothing" in result.stderr
    assert api.sent()[-1] == f"POST {turns}/{TURN}/cancel"


def test_a_reply_that_came_before_the_cancelling_is_shown(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any], turns: str,
    answered: Answered,
) -> None:  # fmt: skip
    api.interrupted(f"POST /sessions/{session['id']}/messages")
    late = cancelled(running, "too_late", reply=answered("Here it is.")["reply"])
    api.answers(f"POST {turns}/{TURN}/cancel", late)

    result = parley("chat", "--session", "groceries", stdin="hi\n")

    assert result.stdout == "Here it is.\n"
    assert "Too late" in result.stderr


def test_another_clients_turn_is_left_alone(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any]
) -> None:
    api.interrupted(f"POST /sessions/{session['id']}/messages")

    result = parley("chat", "--session", "groceries", stdin="something else\n")

    assert "No turn of this message runs" in result.stderr
    assert not [sent for sent in api.sent() if "cancel" in sent]


def test_ctrl_c_again_stops_waiting_for_that_too(
    parley: Any, api: Any, running: dict[str, Any], session: dict[str, Any], turns: str
) -> None:
    api.interrupted(f"POST /sessions/{session['id']}/messages")
    api.interrupted(f"POST {turns}/{TURN}/cancel")

    result = parley("chat", "--session", "groceries", stdin="hi\n/nothing\n")

    assert "Stopped waiting." in result.stderr
    assert "There is no /nothing" in result.stderr
