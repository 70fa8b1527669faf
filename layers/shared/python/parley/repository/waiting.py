"""Sessions that wait though nobody carries them on: found, counted, and marked.

What waits is the head of a session's queue: a turn whose lease is over, or one that is queued with
nothing before it for longer than a worker should need that was woken for it. `woken_at` says when
the recovery last woke one: however often that comes, it does not fill the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from parley.repository.database import Database
from parley.repository.leases import over
from parley.repository.scope import SERVICE, OfUser
from parley.repository.states import OPEN_IN_SQL
from parley.timing import LEASE_SECONDS, WOKEN_FOR_SECONDS

AGAIN_SECONDS = 900
"""How long, at least, a session is left to the worker that the recovery woke for.

After that it is woken for again only when it has waited twice as long as at the last time: workers
that answer nothing for days find a few messages for each session, not one for each recovery.
"""

WAITING_PARAMETERS = {
    "lease": float(LEASE_SECONDS),
    "woken_for": float(WOKEN_FOR_SECONDS),
    "again": float(AGAIN_SECONDS),
}
"""What a statement with `WAITING` needs."""

# The heads of all queues: few turns are open at a time, and have an index of their own. The lease
# of one that was let go of is '-infinity', and far away where the clock was set back: neither says
# since when it waits.
WAITING = f"""
  SELECT head.*, woken_at BETWEEN now() - greatest(make_interval(secs => :again), woken_at - since)
                 AND now() IS TRUE AS left_to_worker
  FROM (
    SELECT DISTINCT ON (t.session_id) t.id, t.session_id, t.user_id, t.status, t.lease_expires_at,
           t.created_at, t.woken_at,
           CASE WHEN t.lease_expires_at > '-infinity' AND t.lease_expires_at < now()
                THEN t.lease_expires_at ELSE coalesce(t.resumed_at, t.created_at) END AS since
    FROM turns t WHERE t.status IN {OPEN_IN_SQL} ORDER BY t.session_id, t.number) head
  WHERE CASE status WHEN 'running' THEN {over("head")}
        WHEN 'queued' THEN created_at < now() - make_interval(secs => :woken_for) END
"""
"""A subquery: each waiting session's first turn, since when it waits, and whether it is left to a
worker that was woken for."""

# Users take turns: first what each has waited for longest, then the next of each.
_FIND = text(f"""
WITH waiting AS MATERIALIZED ({WAITING}),
due AS (
  SELECT id, session_id, user_id, since,
         row_number() OVER (PARTITION BY user_id ORDER BY since, id) AS place
  FROM waiting WHERE NOT left_to_worker)
SELECT counted.*, due.id, due.session_id, due.user_id
FROM (SELECT count(*) AS waiting, count(*) FILTER (WHERE NOT left_to_worker) AS due
      FROM waiting) counted
  LEFT JOIN due ON true
ORDER BY due.place, due.since, due.id LIMIT :most
""")

_MARK = text("""
UPDATE turns SET woken_at = now() WHERE id = :turn_id AND status IN ('queued', 'running')
""")


@dataclass(frozen=True, slots=True)
class WaitingTurn:
    """The turn that a session waits for."""

    id: UUID
    session_id: UUID
    user_id: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits.

    Attributes:
        sessions: How many sessions wait, also those left to a worker that was woken for.
        due: How many of them are to be woken for.
        first: Of these the turns that come first, fairly between users.
    """

    sessions: int
    due: int
    first: Sequence[WaitingTurn]


@dataclass(frozen=True, slots=True)
class WaitingSessions:
    """The sessions that wait. Methods block, and raise `StoreUnavailable`."""

    database: Database

    def find(self, most: int) -> Waiting:
        """Look which sessions wait. One round trip.

        Args:
            most: How many turns to return at most: first of each user the one that has waited
                longest, then the second of each, and so on.
        """
        rows = self.database.run(SERVICE, _FIND, {**WAITING_PARAMETERS, "most": most})
        return Waiting(
            sessions=rows[0].waiting,
            due=rows[0].due,
            first=[
                WaitingTurn(row.id, row.session_id, row.user_id)
                for row in rows
                if row.id is not None
            ],
        )

    def mark(self, turn: WaitingTurn) -> None:
        """Note that a worker was woken for it now. One round trip."""
        self.database.run(OfUser(turn.user_id), _MARK, {"turn_id": turn.id})
