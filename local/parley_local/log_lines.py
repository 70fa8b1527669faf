"""How `make dev` writes its log: a line for people on a terminal, JSON where it is piped."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Literal, TextIO

from parley.log_format import readable

LogFormat = Literal["json", "text"]


def chosen_format(environment: Mapping[str, str], stream: TextIO) -> LogFormat:
    """Return how the log is to be written: as LOG_FORMAT says, else by who reads the stream.

    Raises:
        ValueError: LOG_FORMAT says neither.
    """
    asked = environment.get("LOG_FORMAT") or ("text" if stream.isatty() else "json")
    match asked:
        case "json" | "text":
            return asked
        case _:
            raise ValueError(f"LOG_FORMAT must be text or json, not {asked!r}.")


def write_log(stream: TextIO, form: LogFormat) -> None:
    """Have this process's log written to the stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lines(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


class _Lines(logging.Formatter):
    """Writes what a record says; as JSON, with the `fields` that it was given as well."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        now = time.localtime(record.created)
        line: dict[str, Any] = {
            "level": record.levelname,
            "message": record.getMessage(),
            "timestamp": time.strftime("%Y-%m-%d %H:%M:%S", now)
            + f",{record.msecs:03.0f}"
            + time.strftime("%z", now),
            "service": "gateway",
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        elif traceback := getattr(record, "traceback", ""):  # of another process
            line["traceback"] = traceback
        if self._form == "text":
            return readable(line)
        return json.dumps(line | getattr(record, "fields", {}), ensure_ascii=False)
