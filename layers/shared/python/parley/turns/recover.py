"""Recovery: of what nobody carries on, a worker is told, also if nobody asks for it.

A wake-up, or the next request on a session, finishes what was left there. Recovery is the net
below both: for wake-ups that were lost and sessions on which nobody writes any more. It runs no
turn itself, so an outage is worked off by as many workers as there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from parley.repository.approvals import expire
from parley.repository.waiting import WaitingSessions, WaitingTurn
from parley.threads import in_thread
from parley.turns.wakeup import Waker

EXPIRED_AT_ONCE = 100
"""How many approvals one statement lets expire."""

MOST = 10_000
"""How many sessions a recovery wakes a worker for at most; the next goes on from there."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery found and did.

    Attributes:
        waiting: Sessions that waited though nobody carried them on.
        woken: Those of them for which a worker was woken now.
        left: Those that are still to be woken for, since time, number or the queue did not allow
            it. The others are left to a worker that was woken for before.
    """

    waiting: int
    woken: int
    left: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """Wakes a worker for sessions whose turn waits, or lost its lease, and nobody is at it."""

    sessions: WaitingSessions
    waker: Waker

    async def recover(self, *, seconds: float, most: int = MOST) -> Recovered:
        """Wake for sessions that wait, users taking turns, until none is left or time is up.

        A queue that takes nothing ends it, and is logged and measured: what was not woken for is
        found by the next recovery.

        Args:
            seconds: How long it may take.
            most: How many sessions to wake a worker for at most.

        Raises:
            StoreUnavailable: Postgres cannot serve now; the turns stay to be recovered.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        waiting = await in_thread(self.sessions.find, most)
        woken = 0
        for turn in waiting.first:
            if loop.time() >= end or not await self._wake(turn):
                break
            woken += 1
        return Recovered(waiting.sessions, woken, waiting.due - woken)

    def expire(self, *, left: Callable[[], float]) -> int:
        """Let approvals expire that nobody has decided on in time, and give how many did.

        Turns that go on are found by the recovery, as those are for which nobody was woken. Blocks.

        Args:
            left: Gives how many seconds there still are.

        Raises:
            StoreUnavailable: Postgres cannot serve now; what is left expires later.
        """
        expired = 0
        while True:
            batch = expire(self.sessions.database, EXPIRED_AT_ONCE)
            expired += batch
            if batch == 0 or left() <= 0:
                return expired

    async def _wake(self, turn: WaitingTurn) -> bool:
        woken = await self.waker.wake(turn.session_id, user_id=turn.user_id)
        if woken:
            # Afterwards: who dies in between has woken once more than needed, and not once too few.
            await in_thread(self.sessions.mark, turn)
        return woken
