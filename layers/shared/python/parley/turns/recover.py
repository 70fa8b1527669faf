"""Recovery: turns whose attempt died are carried on, also if nobody asks for them.

The next request on a session finishes what was left there. Recovery is for sessions on which
nobody writes any more: a bounded batch, by schedule or on demand.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import text

from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.ids import new_id
from parley.observability import logger
from parley.repository.database import Database
from parley.repository.turns import TurnRequest
from parley.turns.send import Sender
from parley.turns.threads import in_thread

_EXPIRED = text("""
SELECT id, session_id, user_id, fingerprint FROM turns
WHERE status = 'running' AND lease_expires_at < now()
ORDER BY lease_expires_at, id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did.

    Attributes:
        ended: Turns that it brought to their end, completed or failed.
        elsewhere: Turns that somebody else had taken meanwhile.
        unfinished: Turns for which the time was too short; they stay to be recovered.
    """

    ended: int = 0
    elsewhere: int = 0
    unfinished: int = 0

    @property
    def seen(self) -> int:
        """How many turns there were to recover."""
        return self.ended + self.elsewhere + self.unfinished


@dataclass(frozen=True, slots=True)
class Recovery:
    """Carries on turns whose lease ran out."""

    database: Database
    sender: Sender

    async def recover(self, limit: int, *, seconds: float) -> Recovered:
        """Carry on at most `limit` turns, those first that have waited longest.

        Args:
            limit: How many at most.
            seconds: How long it may take; a turn that is not at its end by then is released.

        Raises:
            StoreUnavailable: A store cannot serve now; the turns stay to be recovered.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        expired = await in_thread(self.database.run, _EXPIRED, {"limit": limit})
        ended = elsewhere = unfinished = 0
        for row in expired:
            left = end - loop.time()
            if left <= 0:
                unfinished += 1
                continue
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
                carried = await self.sender.resume(request, seconds=left)
            except TurnUnfinished:
                unfinished += 1
            except Fenced:
                elsewhere += 1
            except StoreUnavailable:
                raise  # it would fail for the next as well
            except Exception as error:
                # One bad turn must not keep the others from being recovered.
                logger().error("a turn could not be recovered", turn_id=str(row.id), exc_info=error)
                unfinished += 1
            else:
                ended += carried
                elsewhere += not carried
        return Recovered(ended, elsewhere, unfinished)
