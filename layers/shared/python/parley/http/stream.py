"""The app of the `stream` function: its routes, and what surrounds each request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from parley.errors import NotFound
from parley.events.reader import Follower
from parley.http.api import refused
from parley.http.paths import named_ids
from parley.http.response import Outgoing
from parley.http.stream_request import event_of, invocation_of
from parley.http.streaming import LIMITS, METHODS, Limits, Streams
from parley.observability import log_keys, request_answered
from parley.repository.streams import StreamPlaces
from parley.snapshot import FirstInvocation
from parley.tracing import subsegment, traced_as
from parley.turns.decide import Decider
from parley.turns.send import Sender


def stream_app(
    sender: Sender,
    follower: Follower,
    decider: Decider,
    places: StreamPlaces,
    *,
    max_chars: int,
    limits: Limits = LIMITS,
) -> Starlette:
    """Make the app.

    When its server stops, it lets go of the turns that it carries out: others go on with them at
    once.

    What answers its requests is its state's `streams`.

    Args:
        sender: Sends messages.
        follower: Follows turns.
        decider: Decides on what turns ask for.
        places: How many streams one user may hold.
        max_chars: How long a message may be.
        limits: How long readers are waited for.
    """
    streams = Streams(sender, follower, decider, places, max_chars=max_chars, limits=limits)
    first = FirstInvocation()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await streams.running.let_go()

    # An endpoint that is no function is called as an app, with every method.
    # A slash at the end makes no other path, as in API Gateway.
    routes = [
        Route(
            _any_text(path) + end,
            cast(Any, _Endpoint(streams, path, streams.body_max_bytes(path), first)),
        )
        for path in METHODS
        for end in ("", "/")
    ]
    app = Starlette(
        routes=[*routes, Route("/ready", _ready)],
        exception_handlers={404: _no_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.streams = streams
    return app


def _any_text(path: str) -> str:
    """Return a path whose ids of a front end's making may have slashes: they come decoded."""
    return path.replace("{chat_id}", "{chat_id:path}")


async def _ready(request: Request) -> Response:
    return PlainTextResponse("ready")


async def _no_route(request: Request, error: Exception) -> Response:
    event = await event_of(request, "", body_max_bytes=0)
    said = refused(event, NotFound("route", ""))
    return Response(said["body"], said["statusCode"], said["headers"])


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One of the routes. What is logged and traced meanwhile belongs to its request."""

    streams: Streams
    resource: str
    body_max_bytes: int
    first: FirstInvocation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.first.passed()
        request = Request(scope, receive)
        invocation = invocation_of(request)
        try:
            event = await event_of(request, self.resource, body_max_bytes=self.body_max_bytes)
        except ClientDisconnect:
            return  # nothing was begun, and nobody is there to be told
        log_keys(
            request_id=str(event["requestContext"].get("requestId") or ""),
            function_request_id=invocation.id,
        )
        outgoing = Outgoing(send)
        started = time.monotonic()
        route = f"{request.method} {self.resource}"
        with traced_as(invocation.trace), subsegment(route) as annotations:
            try:
                await self.streams.answer(event, invocation, receive, outgoing)
            except asyncio.CancelledError:
                # The server stops. It lets go of its turns, and readers come back for the rest.
                if outgoing.status is not None and not outgoing.complete:
                    await outgoing.finish(outgoing.farewell)
            annotations["status"] = status = outgoing.status or 0
        request_answered(
            route=route,
            status=status,
            seconds=time.monotonic() - started,
            ids=named_ids(event["path"], outgoing.location),
        )
