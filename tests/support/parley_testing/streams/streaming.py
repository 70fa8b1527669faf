"""The streaming app over a workbench, served by a real uvicorn on loopback, and its readers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from parley.events.log import EventLog, TurnEvent
from parley.events.reader import BEAT_SECONDS, Follower
from parley.http.stream import stream_app
from parley.http.streaming import Limits
from parley.ids import TurnKey
from parley.turns.decide import Decider
from parley_client.sse import Frame, Parser
from parley_local.server import listen, url_of
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench

_NO_LIMITS = Limits(follow=HANG_SECONDS, patience=HANG_SECONDS)


class CountedLog:
    """A log that counts what is asked of it."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.appended = 0
        self.reads = 0

    def append(
        self, conversation: str, turn: TurnKey, writer: str, events: Sequence[TurnEvent]
    ) -> None:
        self.appended += 1
        self._log.append(conversation, turn, writer, events)

    def read(
        self, conversation: str, turn: TurnKey, *, after: int = 0, limit: int | None = None
    ) -> list[TurnEvent]:
        self.reads += 1
        return self._log.read(conversation, turn, after=after, limit=limit)

    def remove(self, conversation: str, turn: TurnKey) -> None:
        self._log.remove(conversation, turn)


class Reading:
    """A response while it comes.

    Attributes:
        raw: What has come of it so far.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.raw = b""
        self._frames = self._read()

    @property
    def status(self) -> int:
        return self.response.status_code

    async def json(self) -> Any:
        return json.loads(await self.response.aread())

    async def next(self) -> Frame:
        """Return the next event."""
        return await anext(self._frames)

    async def until(self, kind: str) -> list[Frame]:
        """Read on until an event of this type has come."""
        frames = [await self.next()]
        while frames[-1].event != kind:
            frames.append(await self.next())
        return frames

    async def rest(self) -> list[Frame]:
        """Read to the end."""
        return [frame async for frame in self._frames]

    @property
    def whole(self) -> bytes:
        """What has come of it so far, without a part of a frame: a read ends anywhere."""
        return b"".join(self.raw.rpartition(b"\n\n")[:2])

    async def until_raw(self, piece: bytes) -> None:
        """Read on until a frame with this has come, which need not be an event."""
        async for _ in self._frames:
            if piece in self.whole:
                return
        assert piece in self.whole, self.raw

    async def _read(self) -> AsyncIterator[Frame]:
        parser = Parser()
        async for part in self.response.aiter_raw():
            self.raw += part
            for frame in parser.feed(part):
                yield frame


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the test's own process."""
        yield


class Streams:
    """The app, and a client of it that speaks as the adapter does. An async context manager.

    Attributes:
        log: Where events are kept; it counts.
        answering: How many requests the app is answering.
    """

    def __init__(
        self,
        bench: Workbench,
        log: CountedLog,
        *,
        beat_seconds: float = BEAT_SECONDS,
        limits: Limits = _NO_LIMITS,
        max_chars: int = 1000,
    ) -> None:
        self.bench = bench
        self.log = log
        self.follower = Follower(
            lambda: log, bench.transcript, bench.fanout, beat_seconds=beat_seconds
        )
        decider = Decider(bench.database, bench.waker)
        self.app = stream_app(
            bench.sender,
            self.follower,
            decider,
            bench.places,
            max_chars=max_chars,
            limits=limits,
        )
        self.answering = 0

    async def __aenter__(self) -> Self:
        self._listener = listen("127.0.0.1", 0)
        self._server = _Server(
            uvicorn.Config(
                self._counted,
                interface="asgi3",
                access_log=False,
                log_config=None,
                lifespan="on",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        self._serving = asyncio.ensure_future(self._server.serve([self._listener]))
        self.url = url_of(self._listener)
        self.client = httpx.AsyncClient(base_url=self.url, timeout=HANG_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.stop()
        self._listener.close()

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.answering += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.answering -= 1

    async def stop(self) -> None:
        """Stop the server, as a signal does."""
        self._server.should_exit = True
        await self._serving

    @contextlib.asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str | None = "alice",
        seconds: float = HANG_SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Reading]:
        """Send a request as the adapter does; `body` is JSON, or bytes as they are."""
        sent = {
            **_as_adapted(user, seconds),
            **{name: value.encode() for name, value in (headers or {}).items()},
        }
        if body is not None and "content-type" not in sent:
            sent["content-type"] = b"application/json"
        content = body if body is None or isinstance(body, bytes) else _json(body)
        raw = [(name.encode(), value) for name, value in sent.items()]
        async with self.client.stream(method, path, content=content, headers=raw) as response:
            yield Reading(response)

    def send(self, session_id: UUID, text: str = "hello", **parts: Any) -> Any:
        """Send a message to a session; see `ask` for the parts."""
        return self.ask("POST", f"/sessions/{session_id}/messages/stream", {"text": text}, **parts)

    def follow(self, session_id: UUID, turn_id: UUID | str, after: int | None = None) -> Any:
        """Follow a turn."""
        headers = {} if after is None else {"last-event-id": str(after)}
        return self.ask("GET", f"/sessions/{session_id}/turns/{turn_id}/events", headers=headers)

    def turns(self, session_id: UUID, user: str = "alice") -> Any:
        """Return a session's turns, newest first."""
        return self.bench.transcript.turns(
            user, session_id, status=None, limit=100, cursor=None
        ).items


class Adapter(httpx.AsyncHTTPTransport):
    """What stands between a client of the API and the app: it passes requests on as a user's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers.update(
            {name: value.decode() for name, value in _as_adapted("alice", HANG_SECONDS).items()}
        )
        return await super().handle_async_request(request)


def _as_adapted(user: str | None, seconds: float) -> dict[str, bytes]:
    authorizer = {"user_id": user, "scopes": "", "exp": str(int(time.time()) + 3600)}
    context = {
        "requestId": str(uuid4()),
        "stage": "v1",
        "authorizer": authorizer if user is not None else None,
    }
    invocation = {
        "request_id": str(uuid4()),
        "deadline": int((time.time() + seconds) * 1000),
    }
    return {"x-amzn-request-context": _json(context), "x-amzn-lambda-context": _json(invocation)}


def data(frame: Frame) -> dict[str, Any]:
    """Read what an event says."""
    said: dict[str, Any] = json.loads(frame.data)
    assert (str(said["sequence"]), said["type"]) == (frame.id, frame.event)
    return said


def numbers(frames: Sequence[Frame]) -> list[int]:
    return [data(frame)["sequence"] for frame in frames]


def text_of(frames: Sequence[Frame]) -> str:
    """Put the pieces of messages together."""
    return "".join(data(frame)["text"] for frame in frames if frame.event == "message.delta")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
