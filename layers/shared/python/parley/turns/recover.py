"""Recovery: of what nobody carries on, a worker is told, also if nobody asks for it.

A doorbell, or the next request on a session, finishes what was left there. Recovery is the net
below both: for doorbells that were lost and sessions on which nobody writes any more. It runs no
turn itself, so an outage is worked off by as many workers as there are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from parley.repository.waiting import WaitingSessions, WaitingTurn
from parley.turns.ringing import Ringer
from parley.turns.threads import in_thread

MOST = 10_000
"""How many sessions a recovery rings for at most; the next goes on from there."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery found and did.

    Attributes:
        waiting: Sessions that waited though nobody carried them on.
        rung: Those of them for which a worker was rung for now.
        left: Those that are still to be rung for, since time, number or the queue did not allow
            it. The others are left to a worker that was rung for before.
    """

    waiting: int
    rung: int
    left: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """Rings for sessions whose turn's lease ran out, or waits though nothing is before it."""

    sessions: WaitingSessions
    ringer: Ringer

    async def recover(self, *, seconds: float, most: int = MOST) -> Recovered:
        """Ring for sessions that wait, users taking turns, until none is left or time is up.

        A queue that takes nothing ends it, and is logged and measured: what was not rung for is
        found by the next recovery.

        Args:
            seconds: How long it may take.
            most: How many sessions to ring for at most.

        Raises:
            StoreUnavailable: Postgres cannot serve now; the turns stay to be recovered.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        waiting = await in_thread(self.sessions.find, most)
        rung = 0
        for turn in waiting.first:
            if loop.time() >= end or not await self._ring(turn):
                break
            rung += 1
        return Recovered(waiting.sessions, rung, waiting.due - rung)

    async def _ring(self, turn: WaitingTurn) -> bool:
        rung = await self.ringer.ring(turn.session_id, user_id=turn.user_id)
        if rung:
            # Afterwards: who dies in between has rung once more than needed, and not once too few.
            await in_thread(self.sessions.mark, turn)
        return rung
