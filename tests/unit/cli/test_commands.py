"""The `parley` command as it is typed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner

import parley_cli.main
from parley_cli.errors import CommandFailed
from parley_cli.main import app
from parley_local.data_directory import Address, announced


class FakeClient:
    """Stands for the API: keeps what it is sent and answers or fails as told."""

    sent: list[dict[str, Any]]
    answer: dict[str, Any] | CommandFailed

    def __init__(self, target: object) -> None:
        self.target = target

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send_message(self, text: str, *, session: str, agent: str | None) -> dict[str, Any]:
        self.sent.append({"text": text, "session": session, "agent": agent})
        if isinstance(self.answer, CommandFailed):
            raise self.answer
        return self.answer


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[FakeClient]]:
    class Api(FakeClient):
        sent: list[dict[str, Any]] = []  # noqa: RUF012
        answer: dict[str, Any] | CommandFailed = {"reply": {"content": "Added: milk ✓"}}  # noqa: RUF012

    monkeypatch.setattr(parley_cli.main, "Client", Api)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("PARLEY_TOKEN", raising=False)
    monkeypatch.delenv("PARLEY_URL", raising=False)
    with announced(tmp_path, Address("http://127.0.0.1:3000", os.getpid())):
        yield Api


def run(*arguments: str, stdin: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def test_the_reply_alone_is_printed(api: type[FakeClient]) -> None:
    result = run("message", "add buy milk", "--session", "groceries", "--agent", "todo")

    assert (result.exit_code, result.stdout) == (0, "Added: milk ✓\n")
    assert api.sent == [{"text": "add buy milk", "session": "groceries", "agent": "todo"}]


@pytest.mark.parametrize("text", [[], ["-"]])
def test_standard_input_is_the_message_when_there_is_no_other(
    api: type[FakeClient], text: list[str]
) -> None:
    result = run("message", *text, "--session", "s", stdin="two\nlines\n")

    assert result.exit_code == 0
    assert api.sent[0]["text"] == "two\nlines"


def test_a_refusal_goes_to_standard_error_with_status_1(api: type[FakeClient]) -> None:
    api.answer = CommandFailed("text: at most 5 characters.")

    result = run("message", "too long", "--session", "s")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "parley: text: at most 5 characters.\n"


@pytest.mark.parametrize("answer", [{}, {"reply": None}])
def test_an_answer_without_a_reply_is_no_success(
    api: type[FakeClient], answer: dict[str, Any]
) -> None:
    api.answer = answer

    result = run("message", "hi", "--session", "s")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("parley: ")


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["message", "hi"], None),
        (["message", "hi", "--session", "s", "--unknown"], None),
        (["message", "--session", "s"], b"\xff\xfe"),
        (["message", "\udcff", "--session", "s"], None),
        (["nothing"], None),
    ],
)
def test_wrong_usage_is_status_2(
    api: type[FakeClient], arguments: list[str], stdin: bytes | None
) -> None:
    assert run(*arguments, stdin=stdin).exit_code == 2
    assert api.sent == []


def test_a_token_is_printed_and_nothing_else(tmp_path: Path) -> None:
    result = run("token", "--user", "alice", "--admin", "--data-dir", str(tmp_path))

    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    assert result.stdout.count("\n") == 1
    assert (claims["sub"], claims["scope"]) == ("alice", "parley:admin")
    assert result.stderr == ""


def test_a_token_that_nobody_would_believe_is_not_made(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"

    result = run("token", "--user", "alice", "--data-dir", str(elsewhere))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "make dev has not run" in result.stderr
    assert not elsewhere.exists()


def test_a_name_that_cannot_be_a_user_is_refused(tmp_path: Path) -> None:
    result = run("token", "--user", "two words", "--data-dir", str(tmp_path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert json.dumps(result.stderr).count("parley: ") == 1
