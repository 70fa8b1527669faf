"""Waking a worker from a turn: for the next one, or in case that this one dies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from parley import timing
from parley.errors import StoreUnavailable
from parley.metrics import measure
from parley.observability import logger
from parley.threads import in_thread_with_retry
from parley.timing import LONGEST_DELAY_SECONDS, RETRY_SECONDS
from parley.wake_queue import WakeQueue


def retry_seconds(tries: int) -> int:
    """Tell when to look again at what has failed so many times: later each time."""
    return min(RETRY_SECONDS << min(max(tries, 1) - 1, 10), LONGEST_DELAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Waker:
    """Wakes workers, where there is a queue; without one, what waits is left to the recovery."""

    wake_queue: WakeQueue | None = None

    async def wake(self, session_id: UUID, *, user_id: str, delay: int = 0) -> bool:
        """Ask a worker to look at a session, and tell whether the queue has taken it.

        If the queue cannot take it, nothing is lost: the scheduled recovery finds the turn. It is
        logged and measured, since until then the turn waits.
        """
        if self.wake_queue is None:
            return False
        try:
            await in_thread_with_retry(
                self.wake_queue.wake, session_id, delay=delay, user_id=user_id
            )
        except StoreUnavailable as error:
            measure({"WakeupsFailed": 1})
            logger().warning(
                "no worker was woken; the recovery looks",
                session_id=str(session_id),
                reason=str(error),
            )
            return False
        return True


class Watchdog:
    """Has a worker look at the session after a while, in case that the turn's process dies.

    One wake-up does for as long as the turn is held: the worker that finds the lease held sends
    another for what is left of it. An attempt arms it when it begins, and so does a canceller; a
    worker's own wake-up comes back if it dies, so that it needs none. For one event loop.
    """

    def __init__(self, waker: Waker, session_id: UUID, user_id: str) -> None:
        """Keep for which session it is."""
        self._waker = waker
        self._session_id = session_id
        self._user_id = user_id
        self._armed = waker.wake_queue is None
        self._arming: set[asyncio.Task[None]] = set()

    def armed_elsewhere(self) -> None:
        """Leave no wake-up: another one comes in any case."""
        self._armed = True

    def arm(self) -> None:
        """Leave a wake-up, without waiting for the queue, unless one was left before."""
        if self._armed or self._arming:
            return
        task = asyncio.ensure_future(self._wake())
        self._arming.add(task)
        task.add_done_callback(self._arming.discard)

    async def _wake(self) -> None:
        self._armed = await self._waker.wake(
            self._session_id, user_id=self._user_id, delay=timing.CRASH_SECONDS
        )

    async def settle(self) -> None:
        """Wait for what is under way: no task outlives its invocation."""
        if self._arming:
            await asyncio.wait(self._arming)
