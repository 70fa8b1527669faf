"""Recovery: turns whose attempt died are carried on, also if nobody asks for them.

The next request on a session finishes what was left there. Recovery is for sessions on which
nobody writes any more: in batches and for a bounded time, by schedule or on demand.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.ids import new_id
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.turns import TurnRequest
from parley.turns.send import Sender
from parley.turns.threads import in_thread

_EXPIRED = text("""
SELECT id, session_id, user_id, fingerprint FROM turns
WHERE status = 'running' AND lease_expires_at < now() AND id <> ALL(CAST(:seen AS uuid[]))
ORDER BY lease_expires_at, id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did.

    Attributes:
        ended: Turns that it brought to their end, completed or failed.
        elsewhere: Turns that somebody else had taken meanwhile.
        unfinished: Turns for which the time was too short, or that cannot be carried on now; they
            stay to be recovered. If there are none, no turn is left.
    """

    ended: int = 0
    elsewhere: int = 0
    unfinished: int = 0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Carries on turns whose lease ran out."""

    database: Database
    sender: Sender

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
            expired = await in_thread(
                self.database.run, _EXPIRED, {"limit": batch, "seen": list(seen)}
            )
            for row in expired:
                seen.append(row.id)
                left = end - loop.time()
                became = await self._carry_on(row, left) if left > 0 else "unfinished"
                counts[became] += 1
            if len(expired) < batch or loop.time() >= end:
                return Recovered(**counts)

    async def _carry_on(self, row: Row[Any], seconds: float) -> str:
        """Carry on one turn, and tell which of the counts it belongs to."""
        # Asked for by its own id, the begin statement claims the turn and makes none.
        request = TurnRequest(
            user_id=row.user_id,
            session_id=row.session_id,
            turn_id=row.id,
            message_id=new_id(),
            text="",
            idempotency_key=None,
            fingerprint=row.fingerprint,
        )
        try:
            carried = await self.sender.resume(request, seconds=seconds)
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
