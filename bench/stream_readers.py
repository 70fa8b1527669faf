"""Who reads a streamed turn, and how: to the end, together, slowly, or not at all."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from bench.stream_setup import PATIENCE_SECONDS, Setup

from parley_testing.api.handlers import rest_event

READERS = 50


@dataclass
class Turn:
    """A turn as one reader saw it.

    Attributes:
        said: What the user said.
        key: Its idempotency key.
        first_delta: When the first word came, on the monotonic clock.
        bytes: How much came in all.
        text: What was said, delta by delta.
        events: The types of the events.
        session_id: The session of its own that it has.
        turn_id: The turn's id.
    """

    said: str
    key: str = field(default_factory=lambda: uuid4().hex)
    first_delta: float = 0.0
    bytes: int = 0
    text: str = ""
    events: list[str] = field(default_factory=list)
    session_id: str = ""
    turn_id: str = ""

    @property
    def wanted(self) -> str:
        """All that the model says."""
        words = json.loads(self.said)
        numbers = range(words["words"])
        return "".join(str(number).rjust(words["letters"], ".") + " " for number in numbers)

    def take(self, event: str, data: dict[str, Any]) -> None:
        """Take an event."""
        self.events.append(event)
        if event == "turn.started":
            self.session_id, self.turn_id = data["session_id"], data["turn_id"]
        elif event == "message.delta":
            self.first_delta = self.first_delta or time.monotonic()
            self.text += data["text"]


def words(number: int, *, rate: float, letters: int = 5) -> Turn:
    """Make a turn in which the model says so many words at so many a second."""
    return Turn(json.dumps({"words": number, "rate": rate, "letters": letters}))


def adapter_headers(method: str, path: str) -> dict[str, str]:
    """Return the headers that the Lambda Web Adapter sets on a request."""
    deadline = int((time.time() + 900) * 1000)
    return {
        "x-amzn-request-context": json.dumps(rest_event(method, path)["requestContext"]),
        "x-amzn-lambda-context": json.dumps({"request_id": str(uuid4()), "deadline": deadline}),
    }


def sending(turn: Turn) -> tuple[str, dict[str, str], bytes]:
    """Return path, headers and body of the request that begins a turn in a new session."""
    path = "/messages/stream"
    headers = adapter_headers("POST", path) | {
        "content-type": "application/json",
        "idempotency-key": turn.key,
    }
    return path, headers, json.dumps({"text": turn.said, "agent": "assistant"}).encode()


async def read(lines: AsyncIterator[str], turn: Turn) -> AsyncIterator[str]:
    """Take the events of a stream, and give the type of each."""
    event, data = "", ""
    async for line in lines:
        turn.bytes += len(line) + 1
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            data = value
        elif not line and data:
            turn.take(event, json.loads(data))
            yield event
            event = data = ""


async def send(at: Setup, client: httpx.AsyncClient, turn: Turn, *, until: str = "") -> None:
    """Send a message and read its stream, to the end or until an event of this type."""
    path, headers, body = sending(turn)
    async with client.stream("POST", at.url + path, headers=headers, content=body) as answer:
        if answer.status_code != 200:
            raise RuntimeError(f"{answer.status_code}: {(await answer.aread()).decode()}")
        async for event in read(answer.aiter_lines(), turn):
            if event == until:
                return


async def follow(at: Setup, client: httpx.AsyncClient, turn: Turn) -> Turn:
    """Read a turn's events from their start, as another reader."""
    path = f"/sessions/{turn.session_id}/turns/{turn.turn_id}/events"
    seen = Turn(turn.said)
    headers = adapter_headers("GET", path)
    async with client.stream("GET", at.url + path, headers=headers) as answer:
        async for _ in read(answer.aiter_lines(), seen):
            pass
    return seen


async def ended(at: Setup, turn: Turn) -> float:
    """Wait until a turn is completed, and give the seconds that it took, as Postgres has it."""
    query = (
        "SELECT session_id, status, extract(epoch FROM ended_at - started_at), error_code,"
        " error_detail FROM turns"
        " WHERE idempotency_key = %s AND ended_at IS NOT NULL"
    )
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if row := at.sql.execute(query, (turn.key,)).fetchone():
            assert row[1] == "completed", row
            turn.session_id = str(row[0])
            return float(row[2])
        await asyncio.sleep(0.05)
    raise TimeoutError("the turn does not end")


async def alone(at: Setup, client: httpx.AsyncClient, turn: Turn) -> None:
    """Send, and go away at the first word."""
    await send(at, client, turn, until="message.delta")


async def one(at: Setup, client: httpx.AsyncClient, turn: Turn) -> None:
    """Send, and read all."""
    await send(at, client, turn)
    assert turn.text == turn.wanted


async def many(at: Setup, client: httpx.AsyncClient, turn: Turn) -> None:
    """Send and read all, with 49 who follow."""
    sender = asyncio.create_task(send(at, client, turn))
    while not turn.turn_id:
        await asyncio.sleep(0.005)
        if sender.done():
            break
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(follow(at, client, turn)) for _ in range(READERS - 1)]
    await sender
    assert all(seen.result().text == turn.wanted for seen in others)


async def slow(at: Setup, client: httpx.AsyncClient, turn: Turn) -> None:
    """Send, and read a hundred bytes ten times a second."""
    with _raw(at, turn) as connection:
        ending = asyncio.create_task(ended(at, turn))
        while not ending.done():
            await asyncio.get_running_loop().sock_recv(connection, 100)
            await asyncio.sleep(0.1)
        await ending


async def never(at: Setup, client: httpx.AsyncClient, turn: Turn) -> None:
    """Send, and read nothing at all."""
    with _raw(at, turn):
        await ended(at, turn)


@contextmanager
def _raw(at: Setup, turn: Turn) -> Iterator[socket.socket]:
    """Send over a connection with hardly any room for what comes back."""
    path, headers, body = sending(turn)
    lines = [f"POST {path} HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    host, _, port = at.url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        connection.setblocking(False)
        yield connection


Reading = Callable[[Setup, httpx.AsyncClient, Turn], Awaitable[None]]
CASES: dict[str, Reading] = {
    "no reader": alone,
    "one reader": one,
    f"{READERS} readers": many,
    "a slow reader": slow,
    "one that never reads": never,
}
