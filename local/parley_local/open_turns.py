"""Turns that an earlier `make dev` left open: its queue ended with it, so nobody rings for them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg

# Whoever held a lease is gone, but a worker can claim the turn only when the lease has run out.
_OPEN = """
SELECT session_id,
       extract(epoch FROM greatest(now(), max(lease_expires_at)) - now())::float AS seconds
FROM turns WHERE status IN ('queued', 'running') GROUP BY session_id ORDER BY 2, 1
"""


@dataclass(frozen=True)
class OpenSession:
    """A session with an open turn, and in how many seconds a worker can claim that."""

    id: UUID
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
