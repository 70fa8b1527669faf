"""What is refused before a stream begins: problem documents, as from every other route."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from parley.errors import StoreUnavailable
from parley.http.body import body_max_bytes
from parley.repository.fair_use import FairUse
from parley.turns.send import Sender
from parley_testing.models.scripted import Streamed, in_order, say
from parley_testing.models.steps import Gate
from parley_testing.streams.streaming import Reading, Streams
from parley_testing.waiting import until

NewStreams = Callable[..., Awaitable[Streams]]
LIMIT = body_max_bytes(1000)
"""How large a body of these streams may be: their messages have 1,000 characters at most."""
NOBODYS = "01939d5c-2c00-7000-8000-0000000000ff"


async def problem(reading: Reading, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = await reading.json()
    assert (reading.status, document["code"]) == (status, code), document
    assert reading.response.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["request_id"]
    return document


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "bad_request"),
        (b'{"text": "\xff"}', {}, 400, "bad_request"),
        (b'{"text": "a"}', {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b'{"text": "a"}'.ljust(LIMIT + 1), {}, 413, "content_too_large"),
        (b'{"text": "a"}'.ljust(3 * LIMIT), {}, 413, "content_too_large"),
    ],
    ids=["not-json", "not-text", "another-type", "a-byte-too-large", "far-too-large"],
)
@pytest.mark.parametrize("path", ["/messages/stream", f"/sessions/{NOBODYS}/messages/stream"])
async def test_a_body_that_cannot_be_read(
    new_streams: NewStreams, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    streams = await new_streams()

    async with streams.ask("POST", path, body, headers=headers) as reading:
        await problem(reading, status, code)


@pytest.mark.parametrize(
    ("fields", "headers", "field"),
    [
        ({}, {}, "text"),
        ({"text": " "}, {}, "text"),
        ({"text": "x" * 1001}, {}, "text"),
        ({"text": "a", "on_conflict": "wait"}, {}, "on_conflict"),
        ({"text": "a", "colour": "red"}, {}, "colour"),
        ({"text": "a", "agent": "nobody"}, {}, "agent"),
        ({"text": "a", "session_id": NOBODYS, "agent": "todo"}, {}, "agent"),
        ({"text": "a"}, {"idempotency-key": "ü"}, "idempotency-key"),
        ({"text": "a"}, {"idempotency-key": "k" * 256}, "idempotency-key"),
    ],
)
async def test_a_field_that_cannot_be_taken_is_named(
    new_streams: NewStreams, fields: dict[str, str], headers: dict[str, str], field: str
) -> None:
    streams = await new_streams()

    async with streams.ask("POST", "/messages/stream", fields, headers=headers) as reading:
        document = await problem(reading, 422, "invalid_field")

    assert [fault["field"].lower() for fault in document["errors"]] == [field]


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "99999999999"])
async def test_a_place_that_is_none_is_named(new_streams: NewStreams, last: str) -> None:
    streams = await new_streams()
    path = f"/sessions/{NOBODYS}/turns/{NOBODYS}/events"

    async with streams.ask("GET", path, headers={"last-event-id": last}) as reading:
        document = await problem(reading, 422, "invalid_field")
    async with streams.ask("GET", f"{path}?after={last}") as reading:
        other = await problem(reading, 422, "invalid_field")

    assert [fault["field"].lower() for fault in document["errors"]] == ["last-event-id"]
    assert [fault["field"] for fault in other["errors"]] == ["after"]


@pytest.mark.parametrize("last", ["1.0", "1_0", "+1"])
async def test_the_id_of_an_event_is_digits(new_streams: NewStreams, last: str) -> None:
    streams = await new_streams()
    path = f"/sessions/{NOBODYS}/turns/{NOBODYS}/events"

    async with streams.ask("GET", path, headers={"last-event-id": last}) as reading:
        await problem(reading, 422, "invalid_field")


async def test_ids_that_are_none_are_named(new_streams: NewStreams) -> None:
    streams = await new_streams()

    async with streams.ask("GET", "/sessions/a%20b/turns/2/events") as reading:
        document = await problem(reading, 422, "invalid_field")

    assert [fault["field"] for fault in document["errors"]] == ["session_id", "turn_id"]


@pytest.mark.parametrize(
    "context", ["{}", "[]", "{", '{"authorizer": {"user_id": "alice", "exp": "1"}}']
)
async def test_who_is_not_named_by_the_gateway_is_nobody(
    new_streams: NewStreams, context: str
) -> None:
    streams = await new_streams()
    session_id = streams.bench.new_session()

    async with streams.send(session_id, headers={"x-amzn-request-context": context}) as reading:
        assert reading.status == 401
        assert (await reading.json())["code"] == "unauthorized"
        assert reading.response.headers["www-authenticate"] == "Bearer"


async def test_a_stranger_s_session_is_not_there(new_streams: NewStreams) -> None:
    streams = await new_streams()
    session_id = streams.bench.new_session()

    async with streams.send(session_id, user="bob") as reading:
        await problem(reading, 404, "not_found")


async def test_a_turn_that_runs_is_in_the_way(new_streams: NewStreams, gate: Gate) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))
    session_id = streams.bench.new_session()

    async with streams.send(session_id) as first:
        await first.next()
        async with streams.send(session_id, "again") as second:
            document = await problem(second, 409, "turn_in_progress")
        gate.open()
        await first.rest()

    assert document["turn_id"] == str(streams.turns(session_id)[0].id)


async def test_a_session_that_is_over_takes_no_message(new_streams: NewStreams) -> None:
    streams = await new_streams()
    session_id = streams.bench.new_session()
    streams.bench.sessions.change("alice", session_id, {"status": "ended"})

    async with streams.send(session_id) as reading:
        await problem(reading, 409, "session_not_active")


async def test_a_key_is_for_one_request(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))
    session_id = streams.bench.new_session()
    key = {"idempotency-key": "k"}

    async with streams.send(session_id, headers=key) as reading:
        await reading.rest()
    async with streams.send(session_id, "another", headers=key) as reading:
        await problem(reading, 422, "idempotency_key_reused")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_a_message_is_posted(new_streams: NewStreams, method: str) -> None:
    streams = await new_streams()

    async with streams.ask(method, "/messages/stream") as reading:
        assert reading.status == 405
        assert reading.response.headers["allow"] == "POST"
        if method != "HEAD":
            await problem(reading, 405, "method_not_allowed")


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_events_are_got(new_streams: NewStreams, method: str) -> None:
    streams = await new_streams()

    async with streams.ask(method, f"/sessions/{NOBODYS}/turns/{NOBODYS}/events") as reading:
        assert (reading.status, reading.response.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/", "/messages/stream/x", "/sessions", "/health"])
async def test_there_is_nothing_else(new_streams: NewStreams, path: str) -> None:
    streams = await new_streams()

    async with streams.ask("GET", path) as reading:
        await problem(reading, 404, "not_found")


async def test_the_adapter_is_told_that_the_app_is_ready(new_streams: NewStreams) -> None:
    streams = await new_streams()

    assert (await streams.client.get("/ready")).status_code == 200


async def test_a_browser_of_any_origin_may_read_streams_and_refusals(
    new_streams: NewStreams,
) -> None:
    streams = await new_streams(in_order(say("Hello")))
    session_id = streams.bench.new_session()
    origin = {"origin": "https://example.com"}

    async with streams.send(session_id, headers=origin) as reading:
        assert reading.response.headers["access-control-allow-origin"] == "*"
        assert "Location" in reading.response.headers["access-control-expose-headers"]
        await reading.rest()
    for user in ("bob", None):
        async with streams.send(session_id, headers=origin, user=user) as reading:
            assert reading.status in (401, 404)
            assert reading.response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("postgres", "secret"), 503, "store_unavailable"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
async def test_what_goes_wrong_before_the_stream_is_a_problem_and_logged(
    new_streams: NewStreams,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    code: str,
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    streams = await new_streams()
    monkeypatch.setattr(Sender, "open", fail)

    async with streams.send(streams.bench.new_session()) as reading:
        document = await problem(reading, status, code)

    assert "secret" not in json.dumps(document)
    assert {record.levelname for record in caplog.records} >= {
        "ERROR" if status == 500 else "WARNING"
    }


async def test_a_turn_goes_on_though_its_stream_could_not_begin(
    new_streams: NewStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = await new_streams(in_order(say("Hello")))
    session_id = streams.bench.new_session()

    async def fail(*_: Any) -> Any:
        raise StoreUnavailable("postgres", "gone")

    monkeypatch.setattr(streams.follower, "find", fail)

    async with streams.send(session_id) as reading:
        await problem(reading, 503, "store_unavailable")
    # Its invocation lasts as long as it does; a server that is stopped waits for a second.
    await until(lambda: not streams.answering)

    assert [turn.status for turn in streams.turns(session_id)] == ["completed"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/messages/stream", {"text": "hi"}),
        (
            "/ag-ui/todo",
            {
                "threadId": "thread-1",
                "runId": "run-1",
                "messages": [{"id": "m-1", "role": "user", "content": "hi"}],
                "tools": [],
            },
        ),
        (
            "/ai-sdk/chat",
            {
                "id": "V1StGXR8",
                "trigger": "submit-message",
                "messages": [
                    {"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
                ],
            },
        ),
    ],
    ids=["ours", "AG-UI", "AI SDK"],
)
async def test_who_has_reached_a_limit_is_told_before_a_stream_begins(
    new_streams: NewStreams, path: str, body: dict[str, Any]
) -> None:
    streams = await new_streams(in_order(say("hello")), fair_use=FairUse(turns_per_minute=1))
    streams.bench.begin(streams.bench.new_session())

    async with streams.ask("POST", path, body) as reading:
        document = await problem(reading, 429, "limit_reached")

    assert document["limit"] == "user_turns_per_minute"
    assert 1 <= int(reading.response.headers["retry-after"]) <= 60
