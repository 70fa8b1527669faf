"""`parley open` opens the chat page of whichever Parley is meant."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parley_cli.main import app

OPENED = "https://a.example/v1/chat"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    pages: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda page: pages.append(page))
    return pages


def test_the_page_is_beside_the_api_and_needs_no_token(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_URL", "https://a.example/v1/")
    monkeypatch.delenv("PARLEY_TOKEN", raising=False)

    done = CliRunner().invoke(app, ["open"])

    assert (done.exit_code, done.output) == (0, f"{OPENED}\n")
    assert opened == [OPENED]


def test_the_operations_page_is_opened_where_it_is_asked_for(opened: list[str]) -> None:
    done = CliRunner().invoke(app, ["open", "--console", "--url", "https://a.example/v1"])

    assert (done.exit_code, done.output) == (0, "https://a.example/v1/console\n")
    assert opened == ["https://a.example/v1/console"]


def test_where_nothing_runs_that_is_said_and_no_page_opened(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PARLEY_URL", raising=False)

    done = CliRunner().invoke(app, ["open", "--data-dir", str(tmp_path)])

    assert done.exit_code == 1
    assert "parley dev is not running" in done.output
    assert opened == []


def test_what_is_no_address_of_a_page_is_not_opened(opened: list[str]) -> None:
    done = CliRunner().invoke(app, ["open", "--url", "file:///etc/passwd"])

    assert done.exit_code == 1
    assert opened == []
