"""How the log's lines are written for people."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from parley.log_format import NotTwice, formatter, readable


def test_a_line_says_what_where_and_of_which_turn() -> None:
    line = {
        "level": "WARNING",
        "location": "x:1",
        "message": "tool failed",
        "timestamp": "2026-11-20 14:18:42,131+0000",
        "service": "parley",
        "request_id": "r",
        "session_id": "s",
        "turn_id": "t",
        "tool": "price",
        "call_id": "c",
        "exception": ["builtins.KeyError"],
        "at": "own.py:3 price",
        "frames": ["own.py:3 price"],
        "traceback": "Traceback:\n  File own.py\nKeyError: 'milk'",
    }

    assert readable(line).splitlines() == [
        "14:18:42 WARNING tool failed at own.py:3 price tool=price session=s turn=t call=c",
        "    Traceback:",
        "      File own.py",
        "    KeyError: 'milk'",
    ]


def test_nothing_that_is_told_steers_the_terminal() -> None:
    line = {"level": "INFO", "message": "a\x1b[2J\nb", "traceback": "c\x1b]0;t\x07\nd"}

    assert "\x1b" not in readable(line)
    assert len(readable(line).splitlines()) == 3


@pytest.mark.parametrize(
    ("said", "of_request", "written"),
    [
        ({"msg": "request answered"}, True, False),
        ({"msg": "turn ended"}, True, False),
        ({"msg": "turn ended"}, False, True),  # of the queue: no request tells of it
        ({"msg": "request not served", "code": "agent_failed"}, True, False),
        ({"msg": "request not served", "code": "store_unavailable"}, True, True),
        ({"msg": "turn failed"}, True, True),
    ],
)
def test_what_the_gateway_says_of_a_request_is_not_said_twice(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], of_request: bool, written: bool
) -> None:
    record = logging.makeLogRecord(said)
    lines = NotTwice(lambda: of_request)

    assert lines.filter(record)
    monkeypatch.setenv("LOG_FORMAT", "text")
    assert lines.filter(record) == written


def test_lines_are_text_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.makeLogRecord({"msg": "hello", "levelname": "INFO", "agent": "todo"})
    assert formatter() is None

    monkeypatch.setenv("LOG_FORMAT", "text")
    asked = formatter()

    assert asked is not None
    assert asked.format(record).endswith(" hello agent=todo")
