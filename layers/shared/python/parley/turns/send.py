"""Sending a message: a turn is begun, or found, and followed to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from parley.errors import (
    Fenced,
    IdempotencyKeyReused,
    NotFound,
    QueueFull,
    SessionNotActive,
    TurnFailed,
    TurnInProgress,
    TurnUnfinished,
)
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore, StoredTurn
from parley.observability import memory_read
from parley.repository.begin import MAX_QUEUED
from parley.repository.transcript import Transcript, TurnView
from parley.repository.turns import Begun, RunningTurn, TurnRepository, TurnRequest
from parley.turns.threads import in_thread, patiently

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class Carrier(Protocol):
    """Brings a begun turn to its end: see `parley.turns.carry_out`, which imports the SDK."""

    async def carry_out(
        self, turn: RunningTurn, first_read: Awaitable[Sequence[StoredTurn]], *, seconds: float
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
class Sender:
    """Sends messages and waits for their replies."""

    turns: TurnRepository
    transcript: Transcript
    store: AgentSessionStore
    carrier: Carrier
    window: int

    async def send(self, request: TurnRequest, *, seconds: float) -> Sent:
        """Send a message and wait for its reply.

        A turn of the same session whose attempt died is finished first. A turn of the same key
        is joined: carried on if its attempt died, waited for if it runs elsewhere, read if over.

        Args:
            request: The message. It may be sent again, also by another process.
            seconds: How long this invocation can wait.

        Raises:
            NotFound: The user has no such session.
            SessionNotActive: The session runs no turns now.
            TurnInProgress: Another turn is running.
            QueueFull: As many turns wait as may.
            IdempotencyKeyReused: The key came with another request before.
            TurnFailed: The turn ended without a reply, now or when the key first came.
            TurnUnfinished: Time was up; the turn goes on, and the same key joins it.
            StoreUnavailable: A store cannot serve now; the same key may be sent again.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pause = _FIRST_PAUSE
        carried: set[UUID] = set()
        ahead = True
        while True:
            begun, first_read = await self._begin(request, ahead=ahead)
            ahead = False  # who waits for a turn would read memory in vain each time
            if begun.own:  # if its session is deleted now, beginning again must not reopen it
                request = replace(request, session_id=begun.session_id, opens=None)
            if begun.turn is not None:
                carried.add(begun.turn.id)
                try:
                    view = await self.carrier.carry_out(
                        begun.turn, first_read, seconds=end - loop.time()
                    )
                except TurnUnfinished:
                    if begun.own:
                        raise
                    # The message was not taken yet, so nothing of it goes on.
                    raise TurnInProgress(begun.session_id, begun.turn.id) from None
                except Fenced:
                    continue  # somebody else has it, or stopped it: see what became of it
                if begun.outcome == "running":
                    return Sent(_replied(view), replayed=False)
                continue  # it was an earlier turn, or ours of an earlier try: begin tells
            if begun.turn_id is None or begun.outcome not in ("prior", "queued"):
                raise _refusal(begun, request)
            if begun.status not in ("queued", "running"):
                view = await in_thread(
                    self.transcript.turn, request.user_id, begun.session_id, begun.turn_id
                )
                return Sent(_replied(view), replayed=begun.turn_id not in carried)
            if end - loop.time() <= pause:
                raise TurnUnfinished(begun.session_id, begun.turn_id)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def resume(self, request: TurnRequest, *, seconds: float) -> bool:
        """Carry on a turn whose attempt died, if nobody else has taken it meanwhile.

        Args:
            request: Names the turn by its id; no other turn is made or waited for.
            seconds: How long this invocation can hold the turn.

        Returns:
            Whether this brought the turn to its end.

        Raises:
            Fenced: Somebody else took the turn while it was carried on.
            TurnUnfinished: Time was up; the turn was released.
            StoreUnavailable: A store cannot serve now; the turn was released.
        """
        begun, first_read = await self._begin(request, ahead=True)
        if begun.turn is None:
            return False
        await self.carrier.carry_out(begun.turn, first_read, seconds=seconds)
        return True

    async def _begin(
        self, request: TurnRequest, *, ahead: bool
    ) -> tuple[Begun, Awaitable[Sequence[StoredTurn]]]:
        """Begin, and read memory: meanwhile if it is wanted ahead and its key is known."""
        if request.opens is not None or not ahead:
            begun = await patiently(self.turns.begin, request)
            opened = request.opens is not None and begun.session_id == request.session_id
            if begun.turn is None or opened:
                return begun, _nothing()
            return begun, self._read(request.user_id, begun.session_id)
        reading = asyncio.ensure_future(self._read(request.user_id, request.session_id))
        try:
            begun = await patiently(self.turns.begin, request)
        except BaseException:
            await asyncio.wait([reading])
            reading.exception()  # that begin failed is said already
            raise
        if begun.turn is None:
            await asyncio.wait([reading])
            reading.exception()  # nothing is run, so it does not matter what became of the read
        return begun, reading

    async def _read(self, user_id: str, session_id: UUID) -> Sequence[StoredTurn]:
        conversation = conversation_key(user_id, session_id)
        started = time.monotonic()
        read = await patiently(self.store.read_newest, conversation, self.window)
        memory_read(time.monotonic() - started)
        return read


def _nothing() -> Awaitable[Sequence[StoredTurn]]:
    # No coroutine: it may never be awaited.
    read: asyncio.Future[Sequence[StoredTurn]] = asyncio.get_running_loop().create_future()
    read.set_result(())
    return read


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
        return TurnInProgress(begun.session_id, begun.turn_id)
    if begun.outcome == "queue_full":
        return QueueFull(begun.session_id, MAX_QUEUED)
    return NotFound("session", request.session_id)
