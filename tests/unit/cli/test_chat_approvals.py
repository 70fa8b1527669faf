"""What a conversation asks the user before the agent may do it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
import typer

from parley_testing.streams.event_stream import TURN_ID, completed, numbered, said, started

LONG = json.dumps({"text": "x" * 20_000, "to": "everybody"})
Decisions = dict[str, bool | None]


def asked(number: int, name: str, decider: str = "user", **other: Any) -> dict[str, Any]:
    return {
        "approval_id": str(UUID(int=number)),
        "call_id": f"call_{number}",
        "name": name,
        "arguments": "{}",
        "decider": decider,
        "editable": False,
        "expires_at": "2026-11-08T00:00:00Z",
        **other,
    }


def approval(number: int, name: str, arguments: str = "{}") -> dict[str, Any]:
    return {
        "id": str(UUID(int=number)),
        "call_id": f"call_{number}",
        "tool": name,
        "arguments": arguments,
        "decider": "user",
        "editable": False,
        "status": "open",
        "reason": None,
        "edited_arguments": None,
        "created_at": "2026-11-01T00:00:00Z",
        "decided_at": None,
        "expires_at": "2026-11-08T00:00:00Z",
        "session_id": str(UUID(int=6)),
        "turn_id": str(TURN_ID),
    }


class Talk:
    """One message whose turn asks, on a terminal; what was asked, and what came of it."""

    def __init__(self, api: Any, parley: Any, session: dict[str, Any]) -> None:
        self.answers: Decisions = {}
        self.questions: list[str] = []
        self._api, self._parley, self._session = api, parley, session

    def confirm(self, question: str, **_: Any) -> bool:
        self.questions.append(question)
        name = question.removeprefix("May it call ").split()[0]
        answer = self.answers.get(name, True)
        if answer is None:
            raise typer.Abort
        return answer

    def ask(self, *calls: dict[str, Any]) -> Any:
        """Say something, and be asked this."""
        waits = ("turn.waiting", {"waiting_for": "decisions", "approvals": list(calls)})
        at = f"/sessions/{self._session['id']}"
        self._api.answers("POST /sessions", self._session, status=201)
        self._api.streams(f"POST {at}/messages/stream", numbered(started(), waits))
        resumed = numbered(
            started(), waits, ("turn.resumed", {"attempt": 2}), said("Done."), completed()
        )
        self._api.streams(f"GET {at}/turns/{TURN_ID}/events", resumed[2:])
        result = self._parley("chat", stdin="pay\n")
        assert "Traceback" not in result.output, result.output
        return result

    def decided(self) -> list[tuple[int, str]]:
        return [
            (UUID(request.url.path.rpartition("/")[2]).int, json.loads(request.content)["decision"])
            for request in self._api.requests
            if request.method == "POST" and "/approvals/" in request.url.path
        ]


@pytest.fixture
def talk(api: Any, parley: Any, session: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Talk:
    made = Talk(api, parley, session)
    for module in ("chat", "turn_screen"):
        monkeypatch.setattr(f"parley_cli.{module}.can_ask", lambda: True)
    monkeypatch.setattr(typer, "confirm", made.confirm)
    for number, name in ((1, "pay"), (2, "send"), (3, "file")):
        api.answers(f"POST /approvals/{UUID(int=number)}", approval(number, name))
    return made


def test_all_that_is_the_user_s_is_asked_then_it_is_said_who_decides_the_rest(talk: Talk) -> None:
    talk.answers = {"file": False}

    result = talk.ask(asked(4, "refund", "admin"), asked(1, "pay"), asked(3, "file"))

    assert talk.decided() == [(1, "approve"), (3, "reject")]
    assert "refund waits for admin to decide." in result.stderr
    assert "Done." not in result.stdout


def test_what_was_decided_elsewhere_is_said_and_the_rest_is_asked(api: Any, talk: Talk) -> None:
    problem = {"code": "already_decided", "detail": "The approval is approved already."}
    api.routes[f"POST /approvals/{UUID(int=1)}"] = [httpx.Response(409, json=problem)]

    result = talk.ask(asked(1, "pay"), asked(2, "send"))

    assert [number for number, _ in talk.decided()] == [1, 2]
    assert "is approved already" in result.stderr
    assert result.stdout == "Done.\n", result.stderr


def test_arguments_that_were_cut_are_read_whole_before_they_are_asked_about(
    api: Any, talk: Talk
) -> None:
    api.answers(f"GET /approvals/{UUID(int=2)}", approval(2, "send", LONG))

    talk.ask(asked(1, "pay"), asked(2, "send", arguments=LONG[:16_000], cut=True))

    assert talk.questions == ["May it call pay {}?", f"May it call send {LONG}?"]
    assert [number for number, _ in talk.decided()] == [1, 2]


def test_what_cannot_be_read_whole_is_not_asked_about(talk: Talk) -> None:
    result = talk.ask(asked(2, "send", arguments=LONG[:16_000], cut=True))

    assert talk.questions == []
    assert talk.decided() == []
    assert "There is no such." in result.stderr


def test_a_question_that_is_left_leaves_those_behind_it(talk: Talk) -> None:
    talk.answers = {"send": None}

    result = talk.ask(asked(1, "pay"), asked(2, "send"), asked(3, "file"))

    assert talk.decided() == [(1, "approve")]
    assert "the turn waits" in result.stderr
