"""The `parley` command as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

Answered = Callable[[str | None], dict[str, Any]]


def test_the_reply_alone_is_printed(api: Any, parley: Any, answered: Answered) -> None:
    api.answers("POST /messages", answered("Added: milk ✓"))

    result = parley("message", "add buy milk", "--session", "groceries", "--agent", "todo")

    assert (result.exit_code, result.stdout) == (0, "Added: milk ✓\n")
    assert api.bodies() == [
        {"text": "add buy milk", "session_name": "groceries", "agent": "todo", "platform": "cli"}
    ]


def test_the_whole_answer_is_json(api: Any, parley: Any, answered: Answered) -> None:
    api.answers("POST /messages", answered("one\x1b[31m\x9btwo"))

    result = parley("message", "hi", "--session", "s", "--json")

    assert json.loads(result.stdout)["reply"]["content"] == "one\x1b[31m\x9btwo"
    assert "\x1b" not in result.stdout
    assert "\x9b" not in result.stdout


def queued(answered: Answered) -> dict[str, Any]:
    answer = answered(None)
    del answer["reply"]
    answer["turn"]["status"] = "queued"
    return answer


@pytest.mark.parametrize(
    ("options", "fields"), [((), {}), (("--enqueue",), {"on_conflict": "enqueue"})]
)
def test_a_message_in_the_background_gives_the_turn(
    api: Any, parley: Any, answered: Answered, options: tuple[str, ...], fields: dict[str, Any]
) -> None:
    api.answers("POST /messages", queued(answered), status=202)

    result = parley("message", "hi", "--session", "s", "--background", *options)

    assert (result.exit_code, result.stdout) == (0, f"{answered(None)['turn']['id']}\n")
    assert api.requests[0].headers["Prefer"] == "respond-async"
    assert api.bodies() == [{"text": "hi", "session_name": "s", "platform": "cli", **fields}]


def test_the_turn_in_the_background_is_json(api: Any, parley: Any, answered: Answered) -> None:
    api.answers("POST /messages", queued(answered), status=202)

    result = parley("message", "hi", "--session", "s", "--background", "--json")

    assert json.loads(result.stdout) == queued(answered) | {"approvals": []}


def test_a_message_behind_a_turn_that_waits_for_a_decision_is_left_and_said(
    api: Any, parley: Any, answered: Answered
) -> None:
    api.answers("POST /messages", queued(answered), status=202)

    result = parley("message", "hi", "--session", "s", "--enqueue")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "behind a turn that waits for a decision" in result.stderr
    assert answered(None)["turn"]["id"] in result.stderr
    assert len(api.requests) == 1


def test_a_message_waits_behind_a_turn_where_that_is_asked(
    api: Any, parley: Any, answered: Answered
) -> None:
    api.answers("POST /messages", answered("yes"))

    result = parley("message", "hi", "--session", "s", "--enqueue")

    assert result.stdout == "yes\n"
    assert api.bodies()[0]["on_conflict"] == "enqueue"
    assert "Prefer" not in api.requests[0].headers


@pytest.mark.parametrize("text", [[], ["-"]])
def test_standard_input_is_the_message_when_there_is_no_other(
    api: Any, parley: Any, answered: Answered, text: list[str]
) -> None:
    api.answers("POST /messages", answered("yes"))

    result = parley("message", *text, "--session", "s", stdin="two\nlines\n")

    assert result.exit_code == 0
    assert api.bodies()[0]["text"] == "two\nlines"


@pytest.mark.parametrize(
    ("status", "problem", "sentence"),
    [
        (
            422,
            {
                "title": "Unprocessable Content",
                "detail": "text: has more than 5 characters",
                "errors": [{"field": "text", "reason": "has more than 5 characters"}],
            },
            "text: has more than 5 characters.",
        ),
        (
            422,
            {"detail": "A field cannot be taken.", "errors": [{"field": "a", "reason": "b"}]},
            "A field cannot be taken. a: b.",
        ),
        (
            409,
            {"detail": "Busy.", "turn_id": "00000000-0000-0000-0000-000000000008"},
            "Busy. Turn 00000000-0000-0000-0000-000000000008.",
        ),
        (502, {"detail": "No answer", "request_id": "r-1"}, "No answer. Request r-1."),
        (403, {"message": "Forbidden"}, "The server answered 403: Forbidden."),
        (404, {"detail": "No \x1b]0;title\x07."}, "No \ufffd]0;title\ufffd."),
    ],
)
def test_a_refusal_is_a_sentence_on_standard_error_with_status_1(
    api: Any, parley: Any, status: int, problem: dict[str, Any], sentence: str
) -> None:
    headers = {"Content-Type": "application/problem+json"}
    api.answers("POST /messages", problem, status=status, headers=headers)

    result = parley("message", "too long", "--session", "s")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"parley: {sentence}\n"


def test_an_answer_without_a_reply_is_no_success(api: Any, parley: Any, answered: Answered) -> None:
    api.answers("POST /messages", answered(None))

    result = parley("message", "hi", "--session", "s")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "parley: The turn is failed, without a reply.\n"


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["message", "hi"], None),
        (["message", "hi", "--session", "s", "--unknown"], None),
        (["message", "--session", "s"], b"\xff\xfe"),
        (["message", "\udcff", "--session", "s"], None),
        (["sessions", "list", "--status", "asleep"], None),
        (["sessions", "list", "--limit", "0"], None),
        (["tasks", "list", "--done", "--all"], None),
        (["tasks", "list", "--due-before", "soon"], None),
        (["cleanup", "--older-than", "12"], None),
        (["erase", "anna"], None),
        (["escalations", "show", "no-id"], None),
        (["chat"], b"\xff\n"),
        (["turns", "follow", "s", "t", "--after", "-1"], None),
        (["nothing"], None),
    ],
)
def test_wrong_usage_is_status_2(
    api: Any, parley: Any, arguments: list[str], stdin: bytes | None
) -> None:
    assert parley(*arguments, stdin=stdin).exit_code == 2
    assert api.requests == []


def test_what_is_piped_is_one_line_an_item_with_tabs_between(
    api: Any, parley: Any, session: dict[str, Any]
) -> None:
    odd = {**session, "name": "a\tb\n\x1b[2Jc\u202ed"}
    api.answers("GET /sessions", {"items": [odd], "next_cursor": None})

    result = parley("sessions", "list")

    assert result.stdout == (
        f"a b \ufffd[2Jc\ufffdd\ttodo\tactive\t2026-11-20T14:18:43Z\t{session['id']}\n"
    )


def test_every_listing_command_has_json(api: Any, parley: Any, session: dict[str, Any]) -> None:
    api.answers("GET /sessions", {"items": [session, session], "next_cursor": None})

    lines = parley("sessions", "list", "--json").stdout.splitlines()

    assert [json.loads(line)["name"] for line in lines] == ["groceries"] * 2


def test_a_session_is_found_by_its_name_or_else_its_id(
    api: Any, parley: Any, session: dict[str, Any]
) -> None:
    api.answers("GET /sessions", {"items": [], "next_cursor": None})
    api.answers(f"DELETE /sessions/{session['id']}", None, status=204)
    api.answers(f"GET /sessions/{session['id']}", session)

    by_id = parley("sessions", "delete", session["id"], "--yes")
    unknown = parley("sessions", "delete", "groceries", "--yes")

    assert (by_id.exit_code, unknown.exit_code) == (0, 1)
    assert (by_id.stdout, by_id.stderr) == ("", "The session groceries is deleted.\n")
    assert unknown.stderr == "parley: There is no session named 'groceries'.\n"
    assert [sent for sent in api.sent() if sent.startswith("DELETE")] == [
        f"DELETE /sessions/{session['id']}"
    ]


def task(number: int) -> dict[str, Any]:
    return {
        "id": f"01a1f952-e851-753b-b19b-3497{number:08x}",
        "title": f"task {number}",
        "notes": None,
        "due_at": None,
        "completed_at": None,
        "created_at": "2026-11-20T14:18:42Z",
        "updated_at": "2026-11-20T14:18:42Z",
    }


def test_a_task_is_named_by_an_end_of_its_id(api: Any, parley: Any) -> None:
    api.answers("GET /tasks", {"items": [task(10), task(11)], "next_cursor": None})
    api.answers(f"PATCH /tasks/{task(10)['id']}", task(10))

    result = parley("tasks", "done", "a")
    both = parley("tasks", "done", "01a1f9")
    none = parley("tasks", "done", "zz")

    assert (result.exit_code, result.stdout) == (0, "task 10\n")
    assert api.bodies() == [{"completed": True}]
    assert (both.exit_code, none.exit_code) == (1, 1)
    assert "in the ids of 2 open tasks" in both.stderr


def test_admin_commands_speak_with_the_scope_for_it(api: Any, parley: Any) -> None:
    parley("stats")
    parley("sessions", "list")

    scopes = [
        jwt.decode(request.headers["Authorization"][7:], options={"verify_signature": False})
        for request in api.requests
    ]
    assert [claims["scope"] for claims in scopes] == ["parley:admin", ""]


def test_a_token_is_printed_and_nothing_else(parley: Any, tmp_path: Path) -> None:
    result = parley("token", "--user", "alice", "--admin", "--data-dir", str(tmp_path))

    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    assert result.stdout.count("\n") == 1
    assert (claims["sub"], claims["scope"]) == ("alice", "parley:admin")
    assert result.stderr == ""


def test_a_token_that_nobody_would_believe_is_not_made(parley: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"

    result = parley("token", "--user", "alice", "--data-dir", str(elsewhere))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "parley dev has not run" in result.stderr
    assert not elsewhere.exists()


def test_a_name_that_cannot_be_a_user_is_refused(parley: Any, tmp_path: Path) -> None:
    result = parley("token", "--user", "two words", "--data-dir", str(tmp_path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("parley: ") == 1


@pytest.mark.parametrize("arguments", [("sessions", "delete"), ("memory", "clear")])
def test_what_cannot_be_taken_back_is_not_done_unasked(
    api: Any, parley: Any, session: dict[str, Any], arguments: tuple[str, ...]
) -> None:
    api.answers("GET /sessions", {"items": [session], "next_cursor": None})

    result = parley(*arguments, "groceries")

    assert result.exit_code == 2
    assert "Nobody is there to be asked; give --yes." in result.stderr
    assert not [sent for sent in api.sent() if sent.startswith("DELETE")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sessions", "end"), "The session groceries is ended."),
        (("sessions", "reopen"), "The session groceries is active again."),
        (("memory", "clear", "--yes"), "The session groceries is forgotten by its agent"),
    ],
)
def test_what_was_done_is_said(
    api: Any, parley: Any, session: dict[str, Any], arguments: tuple[str, ...], told: str
) -> None:
    api.answers("GET /sessions", {"items": [session], "next_cursor": None})
    api.answers(f"PATCH /sessions/{session['id']}", session)
    api.answers(f"DELETE /sessions/{session['id']}/memory", None, status=204)

    result = parley(*arguments, "groceries")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(told)
