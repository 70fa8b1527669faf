"""Streaming turns: a message is sent, or a turn followed, and its events are told.

A turn is carried out by a task of its own. Who reads it, how fast or how long, is nothing to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.types import Receive

from parley.errors import Fenced, TurnUnfinished
from parley.events.log import TurnEvent
from parley.events.reader import Follower
from parley.http.api import logged, refused
from parley.http.paths import seen_from
from parley.http.problems import MethodNotAllowed
from parley.http.response import Outgoing, headers_of
from parley.http.running import RunningTurns
from parley.http.sse import give
from parley.http.stream_request import Invocation
from parley.http.stream_routes import METHODS, Following, Sending, StreamRoutes, Wanted
from parley.repository.transcript import TurnView
from parley.timing import TURN_MARGIN_SECONDS
from parley.turns.send import OpenedTurn, Sender

_LAST_SECONDS = 2.0
"""What an invocation keeps to end a response that nobody reads."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long readers are waited for, in seconds.

    Attributes:
        follow: How long a turn is followed that is carried out elsewhere. So no reader holds the
            function for long; one that has not seen the end comes back.
        patience: How long a reader has to take what is left when that has ended, or the turn.
    """

    follow: float = 60.0
    patience: float = 60.0


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a reader is to be given."""

    turn_id: UUID
    events: AsyncGenerator[TurnEvent | None, None]
    headers: dict[str, str]


class Streams:
    """Answers requests.

    Attributes:
        running: The turns that are carried out for them.
    """

    def __init__(
        self, sender: Sender, follower: Follower, *, max_chars: int, limits: Limits
    ) -> None:
        """Keep what is needed to answer.

        Args:
            sender: Sends messages.
            follower: Follows turns.
            max_chars: How long a message may be.
            limits: How long readers are waited for.
        """
        self.running = RunningTurns()
        self._sender = sender
        self._follower = follower
        self._routes = StreamRoutes(max_chars=max_chars)
        self._limits = limits

    async def answer(
        self,
        event: dict[str, Any],
        invocation: Invocation,
        receive: Receive,
        outgoing: Outgoing,
    ) -> None:
        """Answer an event, and carry its turn out to the end, if it begins one.

        Args:
            event: The request, as API Gateway makes an event of it.
            invocation: What it came in.
            receive: Tells that the reader has gone.
            outgoing: Takes the response.
        """
        opened: OpenedTurn | None = None
        stream: _Stream | None = None
        try:
            response, wanted = self._read(event)
            match wanted:
                case Sending():
                    left = invocation.deadline.before(TURN_MARGIN_SECONDS).left()
                    opened = await self.running.open(
                        self._sender.open(wanted.request, seconds=left, enqueue=wanted.enqueue)
                    )
                    stream = await self._of_sent(wanted, opened, invocation)
                case Following():
                    stream = await self._of_followed(wanted)
                    if stream is None:
                        response |= {"statusCode": 204}
        except Exception as error:
            response = refused(event, error)
        if stream is None:
            answering = outgoing.whole(response)
        else:
            location = seen_from(event["path"], stream.headers["Location"])
            headers = headers_of(response) | stream.headers | {"Location": location}
            answering = give(stream.events, stream.turn_id, headers, receive, outgoing)
        await self._see_through(answering, opened.work if opened else None, invocation)

    def _read(self, event: dict[str, Any]) -> tuple[dict[str, Any], Wanted | None]:
        allowed = METHODS[event["resource"]]
        if event["httpMethod"] != allowed:
            raise MethodNotAllowed(allowed)
        return self._routes.read(event)

    async def _of_sent(
        self, wanted: Sending, opened: OpenedTurn, invocation: Invocation
    ) -> _Stream:
        view = await self._follower.find(wanted.request.user_id, opened.session_id, opened.turn_id)
        seconds = self._limits.follow if opened.work is None else invocation.deadline.left()
        events = self._follower.follow(view, after=0, seconds=seconds)
        if opened.work is None:
            events = _from(await anext(events, None), events)
        # Relative to the request, which may be below a stage or a domain's base path.
        above = "../" if wanted.to_session else f"../sessions/{opened.session_id}/"
        headers = {"Location": f"{above}turns/{opened.turn_id}"}
        if opened.replayed:
            headers["Idempotent-Replayed"] = "true"
        return _Stream(opened.turn_id, events, headers)

    async def _of_followed(self, wanted: Following) -> _Stream | None:
        """Follow a turn; None if it is over and no event is left."""
        view = await self._follower.find(wanted.user_id, wanted.session_id, wanted.turn_id)
        events = self._follower.follow(view, after=wanted.after, seconds=self._limits.follow)
        first = await anext(events, None)
        if first is None and view.turn.ended_at is not None:
            # All is there already. A browser comes back after each end, until it is told 204.
            return None
        location = {"Location": f"../{wanted.turn_id}"}
        return _Stream(wanted.turn_id, _from(first, events), location)

    async def _see_through(
        self,
        answering: Coroutine[Any, Any, None],
        work: asyncio.Task[TurnView] | None,
        invocation: Invocation,
    ) -> None:
        """Wait until the turn is over, and for its reader as long as that may take.

        Nothing of either goes on when the invocation has ended.
        """
        answer = asyncio.ensure_future(answering)
        patience = self._limits.patience
        try:
            if work is None:
                patience += self._limits.follow
            else:
                await asyncio.wait([work])
                _note_end(work)
            left = invocation.deadline.before(_LAST_SECONDS).left()
            await asyncio.wait([answer], timeout=min(patience, left))
        finally:
            answer.cancel()
            await asyncio.wait([answer])
        if not answer.cancelled():
            answer.result()


def _note_end(work: asyncio.Task[TurnView]) -> None:
    """Log an error that ended the work on a turn, unless it goes on elsewhere."""
    error = None if work.cancelled() else work.exception()
    if isinstance(error, Exception) and not isinstance(error, Fenced | TurnUnfinished):
        logged(error)


async def _from(
    first: TurnEvent | None, others: AsyncGenerator[TurnEvent | None, None]
) -> AsyncGenerator[TurnEvent | None, None]:
    """Give events of which the first was waited for: the store can be read."""
    try:
        if first is not None:
            yield first
        async for event in others:
            yield event
    finally:
        await others.aclose()
