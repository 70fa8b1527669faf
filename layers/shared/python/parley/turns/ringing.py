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

    async def ring(self, session_id: UUID, *, delay: int = 0) -> None:
        """Ask a worker to look at a session.

        If the queue cannot take it, nothing is lost: the scheduled recovery finds the turn. It is
        logged and measured, since until then the turn waits.
        """
        if self.doorbell is None:
            return
        try:
            await patiently(self.doorbell.ring, session_id, delay=delay)
        except StoreUnavailable as error:
            measure({"DoorbellsFailed": 1})
            logger().warning(
                "no worker was rung for; the recovery looks",
                session_id=str(session_id),
                reason=str(error),
            )


class Precaution:
    """Has a worker look at the session after a while, in case that who holds a turn dies.

    A doorbell is left when an attempt first asks the model, while that thinks, and with every
    renewal of the lease, so that one always comes after the lease has run out; and by who cancels.
    For one event loop.
    """

    def __init__(self, ringer: Ringer, session_id: UUID) -> None:
        """Keep whom to ring."""
        self._ringer = ringer
        self._session_id = session_id
        self._rung = False
        self._ringing: set[asyncio.Task[None]] = set()

    def take(self, *, again: bool = False) -> None:
        """Leave a doorbell, without waiting for the queue.

        Args:
            again: Also if one was left before.
        """
        if self._ringer.doorbell is None or (self._rung and not again):
            return
        self._rung = True
        task = asyncio.ensure_future(self._ringer.ring(self._session_id, delay=CRASH_SECONDS))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def taken(self) -> None:
        """Wait for what is under way: no task outlives its invocation."""
        if self._ringing:
            await asyncio.wait(self._ringing)
