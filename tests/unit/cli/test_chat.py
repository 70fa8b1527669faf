"""A conversation in the terminal, as lines go in and come out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from parley_cli.chat_screen import show_reply
from parley_testing.streams.event_stream import answer, replied, wire

NOBODY: dict[str, Any] = {"items": [], "next_cursor": None}


def messages(session: dict[str, Any]) -> str:
    return f"POST /sessions/{session['id']}/messages/stream"


def chat(parley: Any, *lines: str, arguments: tuple[str, ...] = (), status: int = 0) -> Any:
    result = parley("chat", *arguments, stdin="".join(f"{line}\n" for line in lines))
    assert result.exit_code == status
    return result


def test_the_first_message_makes_the_session_and_the_next_go_to_it(
    api: Any, parley: Any, session: dict[str, Any]
) -> None:
    api.answers("POST /sessions", session, status=201)
    api.streams(messages(session), replied("Hel", "lo."), replied("Again."))

    result = chat(parley, "hi", "", "  and again ", arguments=("--agent", "todo"))

    assert result.stdout == "Hello.\nAgain.\n"
    assert api.bodies() == [
        {"agent": "todo", "platform": "cli"},
        {"text": "hi"},
        {"text": "and again"},
    ]


def test_a_session_of_the_name_that_is_there_goes_on(
    api: Any, parley: Any, session: dict[str, Any]
) -> None:
    api.answers("GET /sessions", {"items": [session], "next_cursor": None})
    api.streams(messages(session), *[replied("Yes.")] * 3)

    result = chat(parley, "hi", arguments=("--session", "groceries"))

    assert result.stdout == "Yes.\n"
    assert "groceries goes on, with todo" in result.stderr


def test_new_begins_another_session(api: Any, parley: Any, session: dict[str, Any]) -> None:
    api.answers("POST /sessions", session, status=201)
    api.streams(messages(session), *[replied("Yes.")] * 3)
    api.answers("GET /sessions", NOBODY)

    chat(parley, "one", "/new", "two", "/new trip to Oslo", "three")

    assert [body for body in api.bodies() if "text" not in body] == [
        {"platform": "cli"},
        # With the agent of before.
        {"agent": "todo", "platform": "cli"},
        {"agent": "todo", "name": "trip to Oslo", "platform": "cli"},
    ]


def test_another_agent_begins_another_session(
    api: Any, parley: Any, session: dict[str, Any]
) -> None:
    agents = [{"name": name, "description": "", "default": False} for name in ("todo", "helper")]
    api.answers("GET /agents", {"items": agents})
    api.answers("POST /sessions", session, status=201)
    api.streams(messages(session), *[replied("Yes.")] * 3)

    result = chat(parley, "one", "/agent", "/agent helper", "two", "/agent nobody", status=1)

    assert "todo\t\t\nhelper\t\t\n" in result.stdout
    assert api.bodies()[2] == {"agent": "helper", "platform": "cli"}
    assert "There is no agent nobody" in result.stderr


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("ended", "parley sessions reopen groceries"),
        ("escalated", "/new begins another session meanwhile"),
    ],
)
def test_what_is_refused_is_said_and_the_chat_goes_on(
    api: Any, parley: Any, session: dict[str, Any], status: str, advice: str
) -> None:
    api.answers("GET /sessions", {"items": [session], "next_cursor": None})
    problem = {
        "code": "session_not_active",
        "detail": f"The session is {status}.",
        "session_status": status,
    }
    api.routes[messages(session)] = [
        httpx.Response(409, json=problem),
        answer(wire(replied("Yes."))),
    ]

    result = chat(parley, "one", "two", arguments=("--session", "groceries"), status=1)

    assert result.stdout == "Yes.\n"
    assert problem["detail"] in result.stderr
    assert advice in result.stderr
    assert (status == "escalated") is ("reopen" not in result.stderr)


def test_history_is_shown_oldest_first(api: Any, parley: Any, session: dict[str, Any]) -> None:
    said = [
        {
            "id": str(UUID(int=number)),
            "turn_id": str(UUID(int=8)),
            "role": role,
            "content": f"{role} {number}",
            "created_at": session["created_at"],
        }
        for number, role in ((2, "assistant"), (1, "user"))
    ]
    api.answers("GET /sessions", {"items": [session], "next_cursor": None})
    api.answers(f"GET /sessions/{session['id']}/messages", {"items": said, "next_cursor": None})

    result = chat(parley, "/history", arguments=("--session", "groceries"))

    time = session["created_at"]
    assert result.stdout == f"{time}\tuser\tuser 1\n{time}\tassistant\tassistant 2\n"


def test_commands_that_are_none_and_messages_that_look_like_some(
    api: Any, parley: Any, session: dict[str, Any]
) -> None:
    api.answers("POST /sessions", session, status=201)
    api.streams(messages(session), *[replied("Yes.")] * 3)

    lines = ("/nothing", "//new", "/etc/hosts is what?", "/quit", "never said")
    result = chat(parley, *lines, status=1)

    assert "There is no /nothing" in result.stderr
    said = [body["text"] for body in api.bodies() if "text" in body]
    assert said == ["/new", "/etc/hosts is what?"]


@pytest.mark.parametrize("lines", [("/help",), ("/history",), ("/sessions",)])
def test_commands_need_no_session(api: Any, parley: Any, lines: tuple[str, ...]) -> None:
    api.answers("GET /sessions", NOBODY)

    chat(parley, *lines)


def test_a_reply_is_markdown_that_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley_cli.chat_screen.on_terminal", lambda: True)

    show_reply(
        "**bold** \x1b]8;;http://evil\x07 &#27;[2J &#x9b;31m [link](http://a.example/&#27;x)\n\n"
        "```\n\x1b[2J\n```\n"
    )

    shown = capsys.readouterr().out
    assert "bold" in shown
    assert "**" not in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown
