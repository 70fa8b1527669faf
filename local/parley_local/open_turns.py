"""Turns that an earlier `make dev` left open: its queue ended with it, so nobody is woken."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from uuid import UUID

import psycopg

from parley.wake_queue import group_of
from parley_local.local_queue import LocalQueue

log = logging.getLogger(__name__)

# Whoever held a lease is gone, but a worker can claim the turn only when the lease has run out.
_OPEN = """
SELECT session_id, min(user_id) AS user_id,
       extract(epoch FROM greatest(now(), max(lease_expires_at)) - now())::float AS seconds
FROM turns WHERE status IN ('queued', 'running') GROUP BY session_id ORDER BY 3, 1
"""


@dataclass(frozen=True)
class OpenSession:
    """A session with an open turn, whose it is, and in how many seconds a worker can claim it."""

    id: UUID
    user_id: str
    seconds: float


def open_sessions(url: str) -> list[OpenSession]:
    """Return the sessions that have open turns, those first that can be looked at first.

    Args:
        url: SQLAlchemy's, of a migrated database; one without turns has none open.
    """
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        known = connection.execute("SELECT to_regclass('turns') IS NOT NULL").fetchone()
        if known != (True,):
            return []
        return [OpenSession(*row) for row in connection.execute(_OPEN).fetchall()]


async def wake_for_what_was_left(queue: LocalQueue, url: str) -> None:
    """Have the worker look at every session that has an open turn, fairly between users.

    Args:
        queue: The worker's.
        url: The database's, as `open_sessions` takes it.
    """
    left = await asyncio.to_thread(open_sessions, url)
    for session in left:
        # A second after the lease, since a worker that comes too early goes away again.
        delay = session.seconds + 1 if session.seconds else 0
        queue.send(str(session.id), delay, group_of(session.user_id))
    if left:
        log.info("%d sessions have turns that were left open; they go on.", len(left))
