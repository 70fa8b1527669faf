"""Events on the wire, and responses of them whose reader is slow, gone or there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.types import Message

from parley.events.log import TurnEvent
from parley.http.response import Outgoing
from parley.http.sse import NumberedEvents, frame, give
from parley.http.streamed import Told
from parley.repository.transcript import TurnView
from parley.repository.values import Turn
from parley_client.sse import Parser

TURN = UUID(int=7)
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
AT = datetime(2026, 11, 20, 14, 18, 42, 131885, tzinfo=UTC)


def delta(sequence: int, text: str) -> TurnEvent:
    return TurnEvent(sequence, "message.delta", AT, {"step": 0, "text": text})


def view() -> TurnView:
    """A turn that runs."""
    turn = cast("Turn", SimpleNamespace(id=TURN, session_id=UUID(int=8)))
    return TurnView(turn, None, None)


async def look() -> TurnView:
    return view()


async def told(
    events: AsyncGenerator[TurnEvent | None, None], headers: dict[str, str], server: Server
) -> None:
    """Answer with events, each with its number."""
    parts = NumberedEvents("../turns/{turn_id}").parts(Told(view(), events, look))
    await give(parts, headers, server.receive, Outgoing(server.send))


class Server:
    """The server's side of a response: takes what is sent, and tells when the reader goes."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.gone = asyncio.Event()
        self.stuck = False

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if self.stuck:
            await asyncio.Event().wait()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\nb",
        "a\r\n\r\ndata: b",
        'é "quoted" \x00',
        *(
            f"a{end}{end}id: 13{end}event: turn.failed{end}data: {{}}{end}{end}"
            for end in LINE_ENDS
        ),
    ],
)
def test_an_event_is_one_line_of_json_whatever_it_says(text: str) -> None:
    wire = frame(delta(12, text), TURN)

    # Also to those who take more for the end of a line than the standard does, as Python does.
    assert len(wire.decode().splitlines()) == len(["id", "event", "data", ""])

    (read,) = Parser().feed(wire)
    assert (read.id, read.event) == ("12", "message.delta")
    assert json.loads(read.data) == {
        "sequence": 12,
        "type": "message.delta",
        "at": "2026-11-20T14:18:42.131885Z",
        "turn_id": str(TURN),
        "step": 0,
        "text": text,
    }
    assert wire.count(b"\n") == 4


async def test_a_stream_has_its_hint_first_and_comments_between() -> None:
    async def events() -> AsyncGenerator[TurnEvent | None, None]:
        yield None
        yield delta(1, "a")

    server = Server()

    await told(events(), {"X": "y"}, server)

    start, *_, last = server.messages
    assert (start["status"], start["headers"]) == (200, [(b"x", b"y")])
    assert server.body == b"retry: 1000\n\n: keep-alive\n\n" + frame(delta(1, "a"), TURN)
    assert last == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_an_error_ends_the_stream_as_a_stream_ends() -> None:
    async def events() -> AsyncGenerator[TurnEvent | None, None]:
        yield delta(1, "a")
        raise RuntimeError("secret")

    server = Server()

    await told(events(), {}, server)

    assert b"secret" not in server.body
    assert server.messages[-1]["more_body"] is False


@pytest.mark.parametrize("stuck", [False, True])
async def test_nothing_is_asked_for_when_the_reader_has_gone(stuck: bool) -> None:
    closed: list[bool] = []

    async def events() -> AsyncGenerator[TurnEvent | None, None]:
        try:
            yield delta(1, "a")
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    server = Server()
    answering = asyncio.ensure_future(told(events(), {}, server))
    while b"message.delta" not in server.body:
        await asyncio.sleep(0)
        server.stuck = stuck and b"retry" in server.body
    server.gone.set()
    await answering

    assert closed == [True]


async def test_a_whole_response_says_how_long_it_is() -> None:
    server = Server()
    response: dict[str, Any] = {
        "statusCode": 404,
        "headers": {"Content-Type": "a/b"},
        "multiValueHeaders": {"Vary": ["x", "y"]},
        "body": "ü",
    }

    await Outgoing(server.send).whole(response)

    assert dict(server.messages[0]["headers"]) == {
        b"content-type": b"a/b",
        b"vary": b"x, y",
        b"content-length": b"2",
    }
    assert server.body == "ü".encode()


@pytest.mark.parametrize("replayed", [False, True])
def test_the_turn_s_address_is_relative_to_the_request(replayed: bool) -> None:
    wire = NumberedEvents("../sessions/{session_id}/turns/{turn_id}")

    assert wire.headers(view(), replayed=replayed) == {
        "Location": f"../sessions/{UUID(int=8)}/turns/{TURN}",
        **({"Idempotent-Replayed": "true"} if replayed else {}),
    }
