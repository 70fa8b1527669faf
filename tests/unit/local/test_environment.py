"""What a function's exception leaves on the terminal of `parley dev`."""

from __future__ import annotations

from typing import Any

import pytest

from parley_local.environment import invoke

MESSAGE: dict[str, Any] = {
    "request_id": "1",
    "function_arn": "arn",
    "deadline": 0.0,
    "event": {},
}


@pytest.fixture(autouse=True)
def of_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAME", "VERSION", "MEMORY_SIZE"):
        monkeypatch.setenv(f"AWS_LAMBDA_FUNCTION_{name}", "1")
    for name in ("GROUP", "STREAM"):
        monkeypatch.setenv(f"AWS_LAMBDA_LOG_{name}_NAME", "1")


class Explained(Exception):
    explained = True


@pytest.mark.parametrize(("kind", "shown"), [(Explained, False), (ValueError, True)])
def test_its_traceback_is_shown_unless_whoever_asked_is_told_all(
    kind: type[Exception], shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def handler(event: Any, context: Any) -> None:
        raise kind("the table is gone")

    answered = invoke(handler, MESSAGE)

    assert b"the table is gone" in answered
    assert ("Traceback" in capsys.readouterr().err) is shown
