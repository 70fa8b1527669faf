"""How lines of the log are written: JSON for machines, or text for somebody at a terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from parley.text import harmless

# What stands at its own place in a line, says less than another, or is in the traceback.
_ELSEWHERE = frozenset(
    {
        "level", "message", "timestamp", "location", "service", "at", "traceback",
        "request_id", "function_request_id", "message_id", "xray_trace_id",
    }
)  # fmt: skip
_IN_TRACEBACK = frozenset({"exception", "frames", "reason"})
_IDS = ("session_id", "turn_id", "call_id")


def for_people() -> bool:
    """Return whether somebody at a terminal reads the log: LOG_FORMAT is `text`."""
    return os.environ.get("LOG_FORMAT") == "text"


def formatter() -> LambdaPowertoolsFormatter | None:
    """Return the formatter that is asked for; None for Powertools' own, which writes JSON."""
    return _Readable() if for_people() else None


class NotTwice(logging.Filter):
    """Keeps from a terminal what the local gateway says of each request, in one line."""

    def __init__(self, of_request: Callable[[], bool]) -> None:
        """Keep what tells whether a request is being answered; a queued turn has none."""
        super().__init__()
        self._of_request = of_request

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is to be written."""
        if not for_people():
            return True
        match record.msg:
            case "request answered":
                return False
            case "request not served":  # of a turn, that was told where it failed
                return getattr(record, "code", "") == "store_unavailable"
            case "turn ended":
                return not self._of_request()
            case _:
                return True


class _Readable(LambdaPowertoolsFormatter):
    """Writes what there is to say in one line, with the ids last, and a traceback below it."""

    def serialize(self, log: Any) -> str:
        """Write a line."""
        return readable(log)


def readable(log: dict[str, Any]) -> str:
    """Write the fields of a line for people."""
    time = str(log.get("timestamp", ""))[11:19]
    level = log.get("level")
    traceback = log.get("traceback")
    words = [time, *([str(level)] if level != "INFO" else []), str(log.get("message", ""))]
    if at := log.get("at"):
        words.append(f"at {at}")
    hidden = _ELSEWHERE.union(_IDS, _IN_TRACEBACK if traceback else ())
    words += [f"{name}={_short(value)}" for name, value in log.items() if name not in hidden]
    words += [f"{name.removesuffix('_id')}={log[name]}" for name in _IDS if log.get(name)]
    line = harmless(" ".join(words)).replace("\n", " ")
    if not traceback:
        return line
    below = "\n".join(f"    {each}" for each in harmless(str(traceback)).splitlines())
    return f"{line}\n{below}"


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
