"""Requests as the adapter forwards them, read as events."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from parley.http.stream_request import event_of, invocation_of
from parley.timing import INVOCATION_SECONDS

LIMIT = 250_000


def request(
    *headers: tuple[str, bytes], path: bytes = b"/a%20b", query: bytes = b"", body: bytes = b""
) -> Request:
    parts: list[Message] = [
        {"type": "http.request", "body": body[start : start + 100_000], "more_body": True}
        for start in range(0, len(body), 100_000)
    ]
    parts.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return parts.pop(0)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/a b",
        "raw_path": path,
        "query_string": query,
        "server": ("127.0.0.1", 80),
        "headers": [(name.encode(), value) for name, value in headers],
    }
    return Request(scope, receive)


async def test_an_event_has_what_was_sent_and_not_what_the_adapter_says() -> None:
    asked = request(
        ("accept", b"a"),
        ("accept", b"b"),
        (
            "x-amzn-request-context",
            '{"requestId": "r", "authorizer": {"user_id": "jürgen"}}'.encode(),
        ),
        ("x-amzn-lambda-context", b"{}"),
        query=b"after=1&after=2&empty=&text=a%C3%BC+b",
        body=b"\xff\x00",
    )

    event = await event_of(asked, "/{name}", body_max_bytes=LIMIT)

    assert (event["httpMethod"], event["path"], event["resource"]) == ("POST", "/a%20b", "/{name}")
    assert event["multiValueHeaders"] == {"accept": ["a", "b"]}
    assert event["headers"] == {"accept": "b"}
    assert event["multiValueQueryStringParameters"] == {
        "after": ["1", "2"], "empty": [""], "text": ["aü b"]
    }  # fmt: skip
    assert event["queryStringParameters"]["after"] == "2"
    assert event["requestContext"]["authorizer"] == {"user_id": "jürgen"}
    assert b64decode(event["body"]) == b"\xff\x00"


async def test_of_a_body_that_is_too_large_there_is_one_byte_too_many() -> None:
    event = await event_of(request(body=b"x" * (3 * LIMIT)), "/", body_max_bytes=LIMIT)

    assert len(b64decode(event["body"])) == LIMIT + 1


async def test_nothing_is_no_body() -> None:
    event = await event_of(request(), "/", body_max_bytes=LIMIT)

    assert (event["body"], event["queryStringParameters"]) == (None, None)


@pytest.mark.parametrize("context", [b"", b"{", b"[]", b"null", b"\xff"])
async def test_a_context_that_is_none_names_nobody(context: bytes) -> None:
    asked = request(("x-amzn-request-context", context), ("x-amzn-lambda-context", context))

    event = await event_of(asked, "/", body_max_bytes=LIMIT)

    assert event["requestContext"] == {}
    assert invocation_of(asked).id == ""


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """A moment that does not pass."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    return time.time()


def test_an_invocation_ends_when_lambda_says(now: float) -> None:
    context = json.dumps({"request_id": "i", "deadline": now * 1000 + 500}).encode()

    said = invocation_of(
        request(("x-amzn-lambda-context", context), ("x-amzn-trace-id", b"Root=1"))
    )

    assert (said.id, said.deadline.left(), said.trace) == ("i", 0.5, "Root=1")


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize("context", [b"{}", b'{"deadline": null}', b'{"deadline": "soon"}'])
def test_without_lambda_an_invocation_lasts_as_long_as_one_may(context: bytes) -> None:
    said = invocation_of(request(("x-amzn-lambda-context", context)))

    assert said.deadline.left() == INVOCATION_SECONDS
