"""Streaming turns: a message is sent, or a turn followed, and its events are told.

A turn is carried out by a task of its own. Who reads it, how fast or how long, is nothing to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from starlette.types import Receive

from parley.errors import Fenced, LimitReached, StoreUnavailable, TurnUnfinished
from parley.events.log import TurnEvent
from parley.events.reader import Follower
from parley.http import stream_routes
from parley.http.api import Api, logged, refused
from parley.http.body import HISTORY_MAX_BYTES, HISTORY_VALUES_MAX, body_max_bytes
from parley.http.front_ends import ag_ui_routes, ai_sdk_routes
from parley.http.paths import seen_from
from parley.http.problems import MethodNotAllowed
from parley.http.response import Outgoing, headers_of
from parley.http.running import RunningTurns
from parley.http.sse import give
from parley.http.stream_request import Invocation
from parley.http.streamed import (
    Answering,
    Events,
    Following,
    Resuming,
    Sending,
    Told,
    Wire,
)
from parley.ids import new_id
from parley.observability import logger
from parley.repository.approvals import Approval
from parley.repository.streams import Place, StreamPlaces
from parley.repository.transcript import TurnView
from parley.threads import in_thread
from parley.timing import TURN_MARGIN_SECONDS
from parley.turns.answers import decide_on, look_at
from parley.turns.decide import Decider
from parley.turns.send import OpenedTurn, QueuedTurn, Sender

_OF_FRONT_ENDS = {**ag_ui_routes.METHODS, **ai_sdk_routes.METHODS}

METHODS: Mapping[str, str] = {**stream_routes.METHODS, **_OF_FRONT_ENDS}
"""The paths, each with its only method."""

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

    told: Told
    wire: Wire


@dataclass(frozen=True, slots=True)
class _Held:
    """A place that a stream has, or may have."""

    user_id: str
    place: Place


@contextmanager
def _holding(held: list[_Held], user_id: str, place: Place | None) -> Iterator[None]:
    """Note a place that is taken within the block; one that was refused is nobody's."""
    refused = False
    try:
        yield
    except LimitReached:
        refused = True
        raise
    finally:
        if place is not None and not refused:
            held.append(_Held(user_id, place))


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the routes ask for."""

    message_max_chars: int


class Streams:
    """Answers requests.

    Attributes:
        running: The turns that are carried out for them.
    """

    def __init__(
        self,
        sender: Sender,
        follower: Follower,
        decider: Decider,
        places: StreamPlaces,
        *,
        max_chars: int,
        limits: Limits,
    ) -> None:
        """Keep what is needed to answer.

        Args:
            sender: Sends messages.
            follower: Follows turns.
            decider: Decides on what turns ask for.
            places: How many streams one user may hold.
            max_chars: How long a message may be.
            limits: How long readers are waited for.
        """
        self._places = places
        self.running = RunningTurns()
        self._sender = sender
        self._follower = follower
        self._decider = decider
        parts = _Parts(max_chars)
        numbered = Api([stream_routes.router], parts, body_max_bytes=body_max_bytes(max_chars))
        front_ends = Api(
            [ag_ui_routes.router, ai_sdk_routes.router],
            parts,
            body_max_bytes=HISTORY_MAX_BYTES,
            values_max=HISTORY_VALUES_MAX,
        )
        self._apis = {
            **dict.fromkeys(stream_routes.METHODS, numbered),
            **dict.fromkeys(_OF_FRONT_ENDS, front_ends),
        }
        self._limits = limits

    def prepare_routes(self) -> None:
        """Build what the routes validate with: see `Api.prepare_routes`."""
        for api in {id(each): each for each in self._apis.values()}.values():
            api.prepare_routes()

    def with_others(
        self, sender: Sender, follower: Follower, decider: Decider, places: StreamPlaces
    ) -> Self:
        """Return what answers by the same routes, and has others do what is asked for."""
        others = copy(self)
        others._sender, others._follower, others._decider = sender, follower, decider
        others._places, others.running = places, RunningTurns()
        return others

    def body_max_bytes(self, path: str) -> int:
        """Return how large a body may be that comes to one of the paths."""
        return self._apis[path].body_max_bytes

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
        held: list[_Held] = []
        try:
            await self._answer(event, invocation, receive, outgoing, held)
        finally:
            for each in held:
                await self._leave(each)

    async def _answer(
        self,
        event: dict[str, Any],
        invocation: Invocation,
        receive: Receive,
        outgoing: Outgoing,
        held: list[_Held],
    ) -> None:
        opened: OpenedTurn | None = None
        stream: _Stream | None = None
        followed = self._limits.follow
        try:
            response = self._routed(event)
            match response["body"]:
                case Sending() as sending:
                    left = invocation.deadline.before(TURN_MARGIN_SECONDS).left()
                    place = self._place(invocation.deadline.left())
                    request = replace(sending.request, place=place)
                    with _holding(held, request.user_id, place):
                        opened = await self.running.open(
                            self._sender.open(request, seconds=left, enqueue=sending.enqueue)
                        )
                        stream = await self._of_sent(sending, opened, invocation, place)
                case Answering() as answering:
                    place = self._place(self._at_most(answering.wire, invocation))
                    with _holding(held, answering.answers.user_id, place):
                        stream = await self._of_answered(answering, invocation, place)
                case (Following() | Resuming()) as wanted:
                    place = self._place(self._at_most(wanted.wire, invocation))
                    with _holding(held, wanted.user_id, place):
                        stream = await self._of_followed(wanted, invocation, place)
                    if stream is None:
                        response |= _instead(wanted)
        except Exception as error:
            response = refused(event, error)
        if stream is None:
            giving = outgoing.whole(response)
        else:
            told, wire = stream.told, stream.wire
            followed = self._followed(wire, invocation)
            headers = dict(wire.headers(told.view, replayed=told.replayed))
            headers["Location"] = seen_from(event["path"], headers["Location"])
            outgoing.farewell = wire.farewell
            giving = give(wire.parts(told), headers_of(response) | headers, receive, outgoing)
        work = opened.work if opened else None
        await self._see_through(giving, work, invocation, followed=followed)

    def _routed(self, event: dict[str, Any]) -> dict[str, Any]:
        allowed = METHODS[event["resource"]]
        if event["httpMethod"] != allowed:
            raise MethodNotAllowed(allowed)
        return self._apis[event["resource"]].answer(event, None)

    async def _of_sent(
        self, wanted: Sending, opened: OpenedTurn, invocation: Invocation, place: Place | None
    ) -> _Stream:
        if opened.work is not None:
            place = None  # it was taken with the turn
        elif place is not None:
            place = replace(place, seconds=self._at_most(wanted.wire, invocation))
        view = await self._follower.find(
            wanted.request.user_id, opened.session_id, opened.turn_id, place
        )
        seconds = invocation.deadline.left()
        if opened.work is None:
            seconds = self._followed(wanted.wire, invocation)
        events = self._follow(view, wanted.wire, seconds=seconds)
        if opened.work is None:
            events = _from(await anext(events, None), events)
        return _Stream(self._told(view, events, opened.replayed), wanted.wire)

    async def _of_answered(
        self, wanted: Answering, invocation: Invocation, place: Place | None
    ) -> _Stream:
        answered = await look_at(self._decider, wanted.answers)
        asked = answered[0]
        find = partial(self._follower.find, asked.user_id, asked.session_id)
        queued: QueuedTurn | None = None
        if wanted.beside is not None:

            async def said() -> str:
                message = (await find(asked.turn_id)).user_message
                return "" if message is None else message.content

            beside = await wanted.beside(asked.turn_id, said)
            if beside is not None:  # before anything is decided: it may be refused
                queued = await self._sender.queue(beside, enqueue=True)
        await decide_on(self._decider, answered, wanted.answers)
        view = await find(asked.turn_id, place)
        events = self._follow(view, wanted.wire, seconds=self._followed(wanted.wire, invocation))
        told = self._told(view, _from(await anext(events, None), events), answered=answered)
        if queued is None:
            return _Stream(told, wanted.wire)
        behind = queued.view.turn.id

        async def then() -> Told:
            view = await find(behind)
            seconds = self._followed(wanted.wire, invocation)
            return self._told(view, self._follow(view, wanted.wire, seconds=seconds))

        return _Stream(replace(told, then=then), wanted.wire)

    async def _of_followed(
        self, wanted: Following | Resuming, invocation: Invocation, place: Place | None
    ) -> _Stream | None:
        """Follow a turn; None if it is over and no event is left."""
        after, view = 0, None
        match wanted:
            case Following():
                view = await self._follower.find(
                    wanted.user_id, wanted.session_id, wanted.turn_id, place
                )
                after = wanted.after
            case Resuming():
                if wanted.otherwise is not None and not await self._waits(wanted):
                    return None
                view = await self._follower.find_open(
                    wanted.user_id, wanted.key, wanted.session_id, place, wanted.agent
                )
        if view is None:
            return None
        seconds = self._followed(wanted.wire, invocation)
        events = self._follow(view, wanted.wire, after=after, seconds=seconds)
        first, ended = None, view.turn.ended_at is not None
        async for first in events:
            # Of a turn that has ended, None says that its log takes long to read, and no more.
            if first is not None or not ended:
                break
        if first is None and ended:
            # All is there already. A browser comes back after each end, until it is told 204.
            return None
        return _Stream(self._told(view, _from(first, events)), wanted.wire)

    async def _waits(self, wanted: Resuming) -> bool:
        view = await self._follower.find_open(
            wanted.user_id, wanted.key, wanted.session_id, agent=wanted.agent
        )
        return view is not None and view.turn.status == "waiting"

    def _place(self, seconds: float) -> Place | None:
        """Return the place that a stream is to take; None where users may hold any number."""
        most = self._places.most
        return Place(new_id(), most, seconds) if most else None

    async def _leave(self, held: _Held) -> None:
        try:
            await in_thread(self._places.leave, held.user_id, held.place)
        except StoreUnavailable as error:
            # The reader has been told all; it is free again when its time is up.
            logger().warning("the place of a stream could not be left", reason=str(error))

    def _at_most(self, wire: Wire, invocation: Invocation) -> float:
        """Return for how long a reader may hold the function who follows another's turn."""
        followed = self._followed(wire, invocation) + self._limits.patience
        return min(followed, invocation.deadline.left())

    def _followed(self, wire: Wire, invocation: Invocation) -> float:
        """Return for how long a turn is followed that is carried out elsewhere."""
        if wire.whole:
            return invocation.deadline.before(_LAST_SECONDS).left()
        return self._limits.follow

    def _follow(self, view: TurnView, wire: Wire, *, after: int = 0, seconds: float) -> Events:
        return self._follower.follow(view, after=after, seconds=seconds, caught_up=wire.whole)

    def _told(
        self,
        view: TurnView,
        events: Events,
        replayed: bool = False,
        answered: Sequence[Approval] = (),
    ) -> Told:
        turn = view.turn
        look = partial(self._follower.find, turn.user_id, turn.session_id, turn.id)
        return Told(view, events, look, replayed, answered)

    async def _see_through(
        self,
        giving: Coroutine[Any, Any, None],
        work: asyncio.Task[TurnView] | None,
        invocation: Invocation,
        *,
        followed: float,
    ) -> None:
        """Wait until the turn is over, and for its reader as long as that may take.

        Nothing of either goes on when the invocation has ended.

        Args:
            giving: Answers the reader.
            work: Carries the turn out, if this process does.
            invocation: What the request came in.
            followed: For how many seconds a turn is followed that is carried out elsewhere.
        """
        answer = asyncio.ensure_future(giving)
        patience = self._limits.patience
        try:
            if work is None:
                patience += followed
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


def _instead(wanted: Following | Resuming) -> dict[str, Any]:
    """Return what is answered where there is nothing to tell."""
    if isinstance(wanted, Resuming) and wanted.otherwise is not None:
        return {"body": wanted.otherwise}
    return {"statusCode": 204, "body": None}


def _note_end(work: asyncio.Task[TurnView]) -> None:
    """Log an error that ended the work on a turn, unless it goes on elsewhere."""
    error = None if work.cancelled() else work.exception()
    if isinstance(error, Exception) and not isinstance(error, Fenced | TurnUnfinished):
        logged(error)


async def _from(first: TurnEvent | None, others: Events) -> Events:
    """Yield events of which the first was waited for: the store can be read."""
    async with aclosing(others):
        if first is not None:
            yield first
        async for event in others:
            yield event
