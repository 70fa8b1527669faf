"""Recovery: what nobody carries on is carried on, also if nobody asks for it.

A doorbell, or the next request on a session, finishes what was left there. Recovery is the net
below both: for doorbells that were lost and sessions on which nobody writes any more, in batches
and for a bounded time, by schedule or on demand.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.leases import over
from parley.repository.turns import LEASE_SECONDS
from parley.turns.head import HeadRunner
from parley.turns.threads import in_thread

_RUNG_FOR_SECONDS = 60
"""How long a turn that waits is left to the worker that is rung for it."""

# The heads of all queues: few turns are open at a time, and have an index of their own.
_LEFT = text(f"""
SELECT id, session_id FROM (
  SELECT DISTINCT ON (t.session_id) t.id, t.session_id, t.status, t.lease_expires_at, t.created_at
  FROM turns t WHERE t.status IN ('queued', 'running') ORDER BY t.session_id, t.number) head
WHERE CASE status WHEN 'running' THEN {over("head")}
      ELSE created_at < now() - make_interval(secs => :rung_for) END
  AND id <> ALL(CAST(:seen AS uuid[]))
ORDER BY coalesce(lease_expires_at, created_at), id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did.

    Attributes:
        ended: Turns that it brought to their end, completed or failed.
        elsewhere: Turns that somebody else had taken or ended meanwhile.
        unfinished: Turns for which the time was too short, or that cannot be carried on now; they
            stay to be recovered. If there are none, no turn is left.
    """

    ended: int = 0
    elsewhere: int = 0
    unfinished: int = 0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Carries on turns whose lease ran out, and turns that wait though nothing is before them."""

    database: Database
    head_runner: HeadRunner

    async def recover(self, batch: int, *, seconds: float) -> Recovered:
        """Carry on turns, those first that have waited longest, until none is left or time is up.

        Each is tried once: one that cannot be carried on now keeps no other from it.

        Args:
            batch: How many to look for at a time.
            seconds: How long it may take; a turn that is not at its end by then is released.

        Raises:
            StoreUnavailable: A store cannot serve now; the turns stay to be recovered.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        counts = {"ended": 0, "elsewhere": 0, "unfinished": 0}
        seen: list[UUID] = []
        while True:
            left_behind = await in_thread(
                self.database.run,
                _LEFT,
                {
                    "limit": batch,
                    "seen": list(seen),
                    "rung_for": float(_RUNG_FOR_SECONDS),
                    "lease": float(LEASE_SECONDS),
                },
            )
            for row in left_behind:
                seen.append(row.id)
                left = end - loop.time()
                became = await self._carry_on(row, left) if left > 0 else "unfinished"
                counts[became] += 1
            # Also after few: behind each that has ended, another may have waited.
            if not left_behind or loop.time() >= end:
                return Recovered(**counts)

    async def _carry_on(self, row: Row[Any], seconds: float) -> str:
        """Carry on one turn, and tell which of the counts it belongs to."""
        try:
            carried = await self.head_runner.carry_on(row.session_id, seconds=seconds)
        except TurnUnfinished:
            return "unfinished"
        except Fenced:
            return "elsewhere"
        except StoreUnavailable:
            raise  # it would fail for the next as well
        except Exception as error:
            # One bad turn must not keep the others from being recovered.
            logger().error("a turn could not be recovered", turn_id=str(row.id), **traced(error))
            return "unfinished"
        return "ended" if carried else "elsewhere"
