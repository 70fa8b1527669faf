"""Ringing the doorbell from a turn: for the next one, or in case that this one dies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from parley.doorbell import Doorbell
from parley.errors import StoreUnavailable
from parley.metrics import measure
from parley.observability import logger
from parley.repository.turns import LEASE_SECONDS
from parley.turns.threads import patiently

CRASH_SECONDS = LEASE_SECONDS + 15
"""When a worker looks whether an attempt still lives: unless renewed, its lease has run out."""

RETRY_SECONDS = 30
"""When a worker looks for the first time at a turn that its attempt could not go on with."""

LONGEST_DELAY_SECONDS = 900
"""As long as SQS keeps a message back."""


def retry_seconds(tries: int) -> int:
    """Tell when to look again at what has failed so many times: later each time."""
    return min(RETRY_SECONDS << min(max(tries, 1) - 1, 10), LONGEST_DELAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Ringer:
    """Rings, where there is a doorbell; without one, what waits is found by the recovery."""

    doorbell: Doorbell | None = None

    async def ring(self, session_id: UUID, *, user_id: str, delay: int = 0) -> bool:
        """Ask a worker to look at a session, and tell whether the queue has taken it.

        If the queue cannot take it, nothing is lost: the scheduled recovery finds the turn. It is
        logged and measured, since until then the turn waits.
        """
        if self.doorbell is None:
            return False
        try:
            await patiently(self.doorbell.ring, session_id, delay=delay, user_id=user_id)
        except StoreUnavailable as error:
            measure({"DoorbellsFailed": 1})
            logger().warning(
                "no worker was rung for; the recovery looks",
                session_id=str(session_id),
                reason=str(error),
            )
            return False
        return True


class Precaution:
    """Has a worker look at the session after a while, in case that who holds a turn dies.

    One doorbell does for as long as the turn is held: the worker that finds the lease held rings
    anew for what is left of it. It is left when an attempt begins, and by who cancels; a worker's
    own doorbell comes back if it dies, so that it needs none. For one event loop.
    """

    def __init__(self, ringer: Ringer, session_id: UUID, user_id: str) -> None:
        """Keep whom to ring."""
        self._ringer = ringer
        self._session_id = session_id
        self._user_id = user_id
        self._rung = ringer.doorbell is None
        self._ringing: set[asyncio.Task[None]] = set()

    def is_taken(self) -> None:
        """Leave no doorbell: another one comes in any case."""
        self._rung = True

    def take(self) -> None:
        """Leave a doorbell, without waiting for the queue, unless one was left before."""
        if self._rung or self._ringing:
            return
        task = asyncio.ensure_future(self._ring())
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def _ring(self) -> None:
        self._rung = await self._ringer.ring(
            self._session_id, user_id=self._user_id, delay=CRASH_SECONDS
        )

    async def taken(self) -> None:
        """Wait for what is under way: no task outlives its invocation."""
        if self._ringing:
            await asyncio.wait(self._ringing)
