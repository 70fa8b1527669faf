"""How `make dev` writes its log, and what it says of a request."""

from __future__ import annotations

import json
import logging
from io import StringIO
from typing import Any

import pytest

from parley_local.log_lines import chosen_format, write_log
from parley_local.messages import HttpRequest
from parley_local.request_context import RequestContext
from parley_local.request_log import log_request

SESSION = "01a224b2-739f-731a-aea3-7be74d72786f"
TURN = "01a224b8-0ef6-77c4-912f-a2eaf7145447"


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def root() -> Any:
    """Leave the process's own log as it was."""
    log = logging.getLogger()
    handlers, level = log.handlers[:], log.level
    yield log
    log.handlers[:], log.level = handlers, level


@pytest.mark.parametrize(
    ("asked", "stream", "chosen"),
    [
        ({}, Screen(), "text"),
        ({}, StringIO(), "json"),
        ({"LOG_FORMAT": "json"}, Screen(), "json"),
        ({"LOG_FORMAT": "text"}, StringIO(), "text"),
    ],
)
def test_who_reads_it_decides_unless_the_setting_does(
    asked: dict[str, str], stream: StringIO, chosen: str
) -> None:
    assert chosen_format(asked, stream) == chosen


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="LOG_FORMAT must be text or json, not 'xml'"):
        chosen_format({"LOG_FORMAT": "xml"}, StringIO())


def asked(path: str) -> RequestContext:
    request = HttpRequest("POST", path, "", (), b"", "127.0.0.1", "HTTP/1.1")
    return RequestContext(request, "v1", path)


PROBLEM = json.dumps({"session_id": SESSION, "turn_id": TURN, "detail": "no"}).encode()


@pytest.mark.parametrize(
    ("path", "headers", "body", "said"),
    [
        ("/messages", (("Location", f"sessions/{SESSION}/turns/{TURN}"),), b"", (SESSION, TURN)),
        (f"/sessions/{SESSION}/messages", (("location", f"turns/{TURN}"),), b"", (None, TURN)),
        ("/messages", (("Content-Type", "application/problem+json"),), PROBLEM, (SESSION, TURN)),
        ("/agents", (("Content-Type", "application/json"),), PROBLEM, (None, None)),
    ],
)
@pytest.mark.usefixtures("root")
def test_a_request_is_one_line_with_the_ids_that_its_path_has_not(
    path: str, headers: Any, body: bytes, said: tuple[str | None, str | None]
) -> None:
    written = StringIO()
    write_log(written, "text")

    log_request(asked(path), 201, headers=headers, body=body)

    (line,) = written.getvalue().splitlines()
    told = line.split(" ms", 1)[1]
    names = zip(("session", "turn"), said, strict=True)
    assert told == "".join(f", {name} {id}" for name, id in names if id)
    assert f" POST {path} 201 " in line


@pytest.mark.usefixtures("root")
def test_piped_it_is_json_with_the_same() -> None:
    written = StringIO()
    write_log(written, "json")
    location = f"sessions/{SESSION}/turns/{TURN}"

    log_request(asked("/messages"), 201, headers=(("Location", location),))

    line = json.loads(written.getvalue())
    assert line | {"message": "", "timestamp": "", "milliseconds": 0, "request_id": ""} == {
        "level": "INFO", "message": "", "timestamp": "", "service": "gateway", "method": "POST",
        "path": "/messages", "status": 201, "milliseconds": 0, "request_id": "",
        "session_id": SESSION, "turn_id": TURN,
    }  # fmt: skip


@pytest.mark.usefixtures("root")
def test_a_path_does_not_steer_the_terminal() -> None:
    written = StringIO()
    write_log(written, "text")

    log_request(asked("/\x1b[2J\n"), 404)

    assert "\x1b" not in written.getvalue()
    assert len(written.getvalue().splitlines()) == 1
