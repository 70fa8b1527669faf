"""Sending a message: a turn is begun, or found, and followed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Protocol
from uuid import UUID

from parley.errors import (
    Fenced,
    IdempotencyKeyReused,
    LimitReached,
    NotFound,
    QueueFull,
    SessionNotActive,
    TurnFailed,
    TurnInProgress,
    TurnUnfinished,
    TurnWaiting,
)
from parley.memory.store import AgentSessionStore, StoredTurn
from parley.repository.begin import MAX_QUEUED
from parley.repository.states import OPEN
from parley.repository.transcript import Transcript, TurnView
from parley.repository.turns import Begun, RunningTurn, TurnRepository, TurnRequest
from parley.threads import in_thread, in_thread_with_retry
from parley.turns.first_read import read_newest
from parley.turns.wakeup import Waker

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class Executor(Protocol):
    """Brings a begun turn to its end: see `parley.runner.execute`, which imports the SDK."""

    async def execute(
        self,
        turn: RunningTurn,
        first_read: Awaitable[Sequence[StoredTurn]],
        *,
        seconds: float,
        logged: bool = False,
        taken: Callable[[], object] = lambda: None,
        comes_back: bool = False,
    ) -> TurnView:
        """Bring a turn that this process holds to its end."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was answered.

    Attributes:
        view: The completed turn with both messages.
        replayed: Whether an earlier request of the same key had been answered already.
    """

    view: TurnView
    replayed: bool


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """A turn that a request made or found, to be followed.

    Attributes:
        work: Carries the turn out, if this process does; it is to be awaited before the invocation
            ends, and raises what the executor raises.
        replayed: Whether an earlier request of the same key had made it.
    """

    session_id: UUID
    turn_id: UUID
    work: asyncio.Task[TurnView] | None
    replayed: bool


@dataclass(frozen=True, slots=True)
class QueuedTurn:
    """A turn that a worker carries out, or that waits for a decision.

    Attributes:
        view: The turn as it is now; `queued`, unless the request came before or waited.
        replayed: Whether an earlier request of the same key had made it.
        least_seconds: For how many seconds it goes on at least, as far as can be known.
    """

    view: TurnView
    replayed: bool
    least_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends messages: to be waited for, to be followed, or to be queued."""

    turns: TurnRepository
    transcript: Transcript
    store: AgentSessionStore
    executor: Executor
    window: int
    waker: Waker = field(default_factory=Waker)
    window_bytes: int = 1_000_000

    async def send(
        self,
        request: TurnRequest,
        *,
        seconds: float,
        patience: float = inf,
        enqueue: bool = False,
    ) -> Sent | QueuedTurn:
        """Send a message and wait for its reply.

        A turn of the same session whose attempt died is finished first. A turn of the same key
        is joined: carried on if its attempt died, waited for if it runs elsewhere, read if over.

        Args:
            request: The message. It may be sent again, also by another process.
            seconds: How long this invocation can carry a turn out.
            patience: How long the caller waits. A turn that this process carries out goes on
                longer; one that others carry out is waited for no longer.
            enqueue: Wait behind a turn that runs instead of being refused.

        Returns:
            The reply; or the turn without it, if it waits for a decision, or behind a turn that
            does; or if it waits behind others, or did, and will not be over while the caller waits.
            That is answered as soon as its place in the line tells.

        Raises:
            NotFound: The user has no such session.
            SessionNotActive: The session runs no turns now.
            TurnInProgress: Another turn is running.
            TurnWaiting: Another turn waits for a decision.
            QueueFull: As many turns wait as may.
            LimitReached: The user has as many turns, or sessions, as one may have.
            IdempotencyKeyReused: The key came with another request before.
            TurnFailed: The turn ended without a reply, now or when the key first came.
            TurnUnfinished: Time was up; the turn goes on, and the same key joins it.
            StoreUnavailable: A store cannot serve now; the same key may be sent again.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        waited_for_until = min(end, loop.time() + patience)
        pause = _FIRST_PAUSE
        carried: set[UUID] = set()
        ahead, woken = True, False
        while True:
            begun, first_read = await self._begin(request, ahead=ahead, enqueue=enqueue)
            ahead = False  # who waits for a turn would read memory in vain each time
            request = _known(request, begun)
            if begun.turn is not None:
                carried.add(begun.turn.id)
                left = end - loop.time()
                if not begun.own:
                    await self._finish(begun.turn, first_read, seconds=left)
                    continue
                try:
                    view = await self.executor.execute(begun.turn, first_read, seconds=left)
                except Fenced:
                    continue  # somebody else has it, or stopped it: see what became of it
                if view.turn.status == "waiting":
                    return QueuedTurn(view, replayed=begun.turn.id != request.turn_id)
                if begun.outcome == "running":
                    return Sent(_replied(view), replayed=False)
                continue  # it was ours of an earlier try: begin tells
            turn_id = _accepted(begun, request)
            if begun.status not in OPEN:
                view = await in_thread(
                    self.transcript.turn, request.user_id, begun.session_id, turn_id
                )
                return Sent(_replied(view), replayed=turn_id not in carried)
            if begun.status == "waiting":  # for somebody who may take days
                return await self._left(request, begun)
            if begun.status == "queued" and not woken:
                await self.waker.wake(begun.session_id, user_id=request.user_id)
                woken = True
            left = waited_for_until - loop.time()
            if begun.behind_waiting or left <= max(pause, begun.least_seconds):
                if not enqueue and begun.status != "queued":
                    raise TurnUnfinished(begun.session_id, turn_id)
                waiting = await self._left(request, begun)
                if waiting.view.turn.ended_at is None:
                    return waiting
                return Sent(_replied(waiting.view), waiting.replayed)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def open(
        self, request: TurnRequest, *, seconds: float, enqueue: bool = False
    ) -> OpenedTurn:
        """Send a message whose turn is to be followed, and return when both stores have taken it.

        A turn that others carry out is found only: whether the store tells of it, its reader sees.

        Args:
            request: The message. It may be sent again, also by another process.
            seconds: How long this invocation can carry the turn out.
            enqueue: Wait behind a turn that runs instead of being refused.

        Raises:
            Exception: As `send`, but for what only becomes of the turn later.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        ahead = True
        while True:
            begun, first_read = await self._begin(request, ahead=ahead, enqueue=enqueue)
            ahead = False
            asked, request = request, _known(request, begun)
            if begun.turn is None:
                turn_id = _accepted(begun, request)
                if begun.status == "queued":
                    await self.waker.wake(begun.session_id, user_id=request.user_id)
                return OpenedTurn(begun.session_id, turn_id, None, turn_id != asked.turn_id)
            left = end - loop.time()
            if not begun.own:
                await self._finish(begun.turn, first_read, seconds=left)
                continue
            try:
                work = await self._taken(begun.turn, first_read, seconds=left)
            except Fenced:
                continue  # somebody else has it, or stopped it: see what became of it
            replayed = begun.turn.id != asked.turn_id
            return OpenedTurn(begun.session_id, begun.turn.id, work, replayed)

    async def _taken(
        self, turn: RunningTurn, first_read: Awaitable[Sequence[StoredTurn]], *, seconds: float
    ) -> asyncio.Task[TurnView]:
        """Begin to carry a turn out, and return when its log has begun or the turn is over.

        Raises:
            Fenced: The attempt was replaced, or the turn stopped or deleted.
            StoreUnavailable: A store cannot serve; the turn was released, and is woken for.
        """
        taken = asyncio.Event()
        work = asyncio.ensure_future(
            self.executor.execute(turn, first_read, seconds=seconds, logged=True, taken=taken.set)
        )
        work.add_done_callback(lambda _: taken.set())
        try:
            await taken.wait()
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            raise
        error = work.exception() if work.done() else None
        if error is not None and not isinstance(error, TurnUnfinished):  # which goes on elsewhere
            raise error
        return work

    async def queue(self, request: TurnRequest, *, enqueue: bool = False) -> QueuedTurn:
        """Commit a message whose turn a worker carries out, and wake one.

        Args:
            request: The message. It may be sent again, also by another process.
            enqueue: Wait behind a turn that runs instead of being refused.

        Raises:
            Exception: As `send`, but for what only becomes of the turn later.
        """
        begun = await in_thread_with_retry(self.turns.begin, request, enqueue=enqueue, queue=True)
        _accepted(begun, request)
        if begun.status in ("queued", "running"):
            await self.waker.wake(begun.session_id, user_id=request.user_id)
        return await self._left(request, begun)

    async def _left(self, request: TurnRequest, begun: Begun) -> QueuedTurn:
        """Read the request's turn, which is left to others."""
        turn_id = _accepted(begun, request)
        view = await in_thread_with_retry(
            self.transcript.turn, request.user_id, begun.session_id, turn_id
        )
        return QueuedTurn(view, turn_id != request.turn_id, begun.least_seconds)

    async def _finish(
        self, turn: RunningTurn, first_read: Awaitable[Sequence[StoredTurn]], *, seconds: float
    ) -> None:
        """Bring a turn to its end that stands in the way, because its attempt died.

        Raises:
            TurnInProgress: Time was up; nothing of the message was taken yet.
            StoreUnavailable: A store cannot serve now; the turn was released.
        """
        try:
            await self.executor.execute(turn, first_read, seconds=seconds)
        except TurnUnfinished:
            raise TurnInProgress(turn.session_id, turn.id) from None
        except Fenced:
            return  # somebody else has it, or stopped it: see what became of it

    async def _begin(
        self, request: TurnRequest, *, ahead: bool, enqueue: bool = False
    ) -> tuple[Begun, Awaitable[Sequence[StoredTurn]]]:
        """Begin, and read memory: meanwhile if it is wanted ahead and its key is known."""
        if request.opens is not None or not ahead:
            begun = await in_thread_with_retry(self.turns.begin, request, enqueue=enqueue)
            opened = request.opens is not None and begun.session_id == request.session_id
            if begun.turn is None or opened:
                return begun, _nothing()
            return begun, self._read(request.user_id, begun.session_id)
        reading = asyncio.ensure_future(self._read(request.user_id, request.session_id))
        try:
            begun = await in_thread_with_retry(self.turns.begin, request, enqueue=enqueue)
        except BaseException:
            await asyncio.wait([reading])
            reading.exception()  # that begin failed is said already
            raise
        if begun.turn is None:
            await asyncio.wait([reading])
            reading.exception()  # nothing is run, so it does not matter what became of the read
        return begun, reading

    def _read(self, user_id: str, session_id: UUID) -> Coroutine[Any, Any, Sequence[StoredTurn]]:
        return read_newest(self.store, user_id, session_id, self.window, self.window_bytes)


def _nothing() -> Awaitable[Sequence[StoredTurn]]:
    # No coroutine: it may never be awaited.
    read: asyncio.Future[Sequence[StoredTurn]] = asyncio.get_running_loop().create_future()
    read.set_result(())
    return read


def _known(request: TurnRequest, begun: Begun) -> TurnRequest:
    """Name the session that the turn is in: were it deleted now, it must not be opened again."""
    return replace(request, session_id=begun.session_id, opens=None) if begun.own else request


def _accepted(begun: Begun, request: TurnRequest) -> UUID:
    """Return the id of the request's turn, which is somebody else's to carry out, or over.

    Raises:
        Exception: The request was refused.
    """
    if begun.turn_id is None or begun.outcome not in ("prior", "queued"):
        raise _refusal(begun, request)
    return begun.turn_id


def _replied(view: TurnView) -> TurnView:
    turn = view.turn
    if turn.status != "completed":
        raise TurnFailed(
            turn.session_id, turn.id, turn.status, turn.error_code or "", turn.error_detail or ""
        )
    return view


def _refusal(begun: Begun, request: TurnRequest) -> Exception:
    if begun.outcome == "key_reused":
        return IdempotencyKeyReused(request.idempotency_key or "")
    if begun.outcome == "not_active":
        return SessionNotActive(begun.session_id, begun.session_status or "")
    if begun.outcome == "busy" and begun.turn_id is not None:
        if begun.status == "waiting":
            return TurnWaiting(begun.session_id, begun.turn_id, may_enqueue=request.behind_waiting)
        return TurnInProgress(begun.session_id, begun.turn_id)
    if begun.outcome == "limit_reached" and begun.reached is not None:
        reached = begun.reached
        return LimitReached(
            reached.limit,
            reached.most,
            reached.renews,
            reached.used,
            held=reached.held,
            expected=reached.expected,
            renews_at=reached.renews_at,
        )
    if begun.outcome == "queue_full":
        return QueueFull(begun.session_id, MAX_QUEUED)
    return NotFound("session", request.session_id)
