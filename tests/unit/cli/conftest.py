"""A data directory on which `make dev` has run, and a server that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner

import parley_cli.connection
from parley_cli.address import Target
from parley_cli.main import app
from parley_client import AsyncParley, Call, Events, Parley, Series, TurnEvent
from parley_local.data_directory import Address, published
from parley_local.issuer import ensure_key
from parley_testing.streams.event_stream import Stream, answer, wire

T = TypeVar("T")
Step = httpx.Response | Exception

URL = "http://127.0.0.1:3000"


USAGE = {
    "model_calls": 1,
    "input_tokens": 0,
    "cached_tokens": None,
    "output_tokens": 0,
    "reasoning_tokens": None,
    "cost_usd": "0.002025",
    "calls_without_tokens": 0,
    "calls_without_cost": 0,
}


@pytest.fixture(autouse=True)
def _issuer(tmp_path: Path) -> None:
    ensure_key(tmp_path)


def again(response: httpx.Response) -> httpx.Response:
    """Return a response that was not read; those that are whole may be given several times."""
    if isinstance(response.stream, Stream):
        return response
    return httpx.Response(response.status_code, headers=response.headers, content=response.content)


class Server:
    """Answers each request with the next step, keeps what it was sent, and counts time by waits."""

    def __init__(self, *steps: Step) -> None:
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        self._steps: Iterator[Step] = iter(steps)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = next(self._steps)
        if isinstance(step, Exception):
            raise step
        return again(step)

    @property
    def keys(self) -> set[str]:
        return {request.headers["Idempotency-Key"] for request in self.requests}

    def options(self, patience: float) -> dict[str, Any]:
        return {
            "transport": httpx.MockTransport(self),
            "clock": lambda: sum(self.waits),
            "patience": patience,
        }


class Sync:
    """Carries calls out with `Parley`."""

    def do(
        self,
        server: Server,
        call: Call[T],
        *,
        patience: float = 300,
        token: str | Callable[[], str] = "t",
    ) -> T:
        options = server.options(patience)
        with Parley(URL, token, sleep=server.waits.append, **options) as parley:
            return parley.do(call)

    def follow(self, server: Server, events: Events, *, stop_after: int | None = None) -> list[Any]:
        """Read events; all of them, or so many and no more."""
        options = server.options(300)
        with (
            Parley(URL, "t", sleep=server.waits.append, **options) as parley,
            closing(parley.follow(events)) as found,
        ):
            return list(islice(found, stop_after))

    def each(self, server: Server, series: Series[T]) -> list[T]:
        with Parley(URL, "t", **server.options(300)) as parley:
            return list(parley.each(series))


class Async(Sync):
    """Carries calls out with `AsyncParley`."""

    def do(
        self,
        server: Server,
        call: Call[T],
        *,
        patience: float = 300,
        token: str | Callable[[], str] = "t",
    ) -> T:
        async def wait(seconds: float) -> None:
            server.waits.append(seconds)

        async def done() -> T:
            options = server.options(patience)
            async with AsyncParley(URL, token, sleep=wait, **options) as parley:
                return await parley.do(call)

        return asyncio.run(done())

    def follow(self, server: Server, events: Events, *, stop_after: int | None = None) -> list[Any]:
        async def wait(seconds: float) -> None:
            server.waits.append(seconds)

        async def done() -> list[TurnEvent]:
            seen: list[TurnEvent] = []
            async with (
                AsyncParley(URL, "t", sleep=wait, **server.options(300)) as parley,
                aclosing(parley.follow(events)) as found,
            ):
                while stop_after is None or len(seen) < stop_after:
                    event = await anext(found, None)
                    if event is None:
                        break
                    seen.append(event)
            return seen

        return asyncio.run(done())

    def each(self, server: Server, series: Series[T]) -> list[T]:
        async def done() -> list[T]:
            async with AsyncParley(URL, "t", **server.options(300)) as parley:
                return [item async for item in parley.each(series)]

        return asyncio.run(done())


@pytest.fixture(params=[Sync(), Async()], ids=["sync", "async"])
def client(request: pytest.FixtureRequest) -> Sync:
    """Either client: they keep the same rules."""
    chosen: Sync = request.param
    return chosen


@pytest.fixture
def server_of() -> Callable[..., Server]:
    """Make a server of its steps."""
    return Server


class FakeApi:
    """Answers `METHOD /path` as told, the last answer again and again; 404 for the rest."""

    def __init__(self) -> None:
        self.routes: dict[str, list[httpx.Response | BaseException]] = {}
        self.requests: list[httpx.Request] = []

    def answers(self, route: str, *bodies: Any, status: int = 200, **options: Any) -> None:
        self.routes[route] = [httpx.Response(status, json=body, **options) for body in bodies]

    def streams(self, route: str, *turns: list[dict[str, Any]]) -> None:
        """Answer with the events of a turn, each time with those of the next."""
        self.routes[route] = [answer(wire(events)) for events in turns]

    def interrupted(self, route: str, *, after: bytes | None = None) -> None:
        """Let a person press Ctrl-C while this is waited for, or in a stream after these bytes."""
        press = KeyboardInterrupt()
        self.routes[route] = [press if after is None else answer(Stream(after, press))]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        steps = self.routes.get(f"{request.method} {request.url.path}")
        if not steps:
            return httpx.Response(404, json={"code": "not_found", "detail": "There is no such."})
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, BaseException):
            raise step
        return again(step)

    def bodies(self) -> list[Any]:
        """What was sent, in order."""
        return [json.loads(each.content) for each in self.requests if each.content]

    def sent(self) -> list[str]:
        """The routes that were asked, in order, with their queries."""
        return [f"{each.method} {each.url.raw_path.decode()}" for each in self.requests]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeApi]:
    """Stands for the API that `make dev` serves on the data directory."""
    fake = FakeApi()

    def connect(target: Target) -> Parley:
        transport = httpx.MockTransport(fake)
        return Parley(target.url, target.token, transport=transport, sleep=lambda _: None)

    monkeypatch.setattr(parley_cli.connection, "connect", connect)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for name in ("PARLEY_TOKEN", "PARLEY_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with published(tmp_path, Address(URL, os.getpid())):
        yield fake


def run(*arguments: str, stdin: str | bytes | None = None) -> Any:
    """Run `parley` with its output piped."""
    return CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.fixture
def parley() -> Callable[..., Any]:
    """Run the command as it is typed; gives status, output and errors."""
    return run


@pytest.fixture
def session() -> dict[str, Any]:
    """A session as the API shows it."""
    return {
        "id": "01a1f952-e641-72ab-a720-0ba8c04dfa93",
        "agent": "todo",
        "name": "groceries",
        "platform": "cli",
        "status": "active",
        "status_reason": None,
        "metadata": {},
        "created_at": "2026-11-20T14:18:42.131885Z",
        "updated_at": "2026-11-20T14:18:42.131885Z",
        "last_activity_at": "2026-11-20T14:18:43Z",
        "usage": USAGE,
    }


@pytest.fixture
def answered(session: dict[str, Any]) -> Callable[[str | None], dict[str, Any]]:
    """Make the answer to a message from its reply."""

    def message(role: str, content: str) -> dict[str, Any]:
        return {
            "id": str(UUID(int=7)),
            "turn_id": str(UUID(int=8)),
            "role": role,
            "content": content,
            "created_at": session["created_at"],
        }

    def make(reply: str | None) -> dict[str, Any]:
        turn = {
            "id": str(UUID(int=8)),
            "session_id": session["id"],
            "number": 1,
            "status": "completed" if reply is not None else "failed",
            "agent": "todo",
            "error": None,
            "waiting_for": None,
            "usage": USAGE,
            "created_at": session["created_at"],
            "started_at": None,
            "ended_at": None,
        }
        said = message("assistant", reply) if reply is not None else None
        return {"turn": turn, "user_message": message("user", "hi"), "reply": said}

    return make
