"""The statement with which a turn is cancelled: what waits ends at once, what runs is taken over.

It locks the session before the turn, as all that end a turn do (turn-protocol, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.turns import LEASE_SECONDS, RunningTurn, taken_over

CANCELLED = "turn_cancelled"
"""The error code of every cancelled turn."""

_CANCEL = text("""
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = :session_id AND user_id = :user_id FOR NO KEY UPDATE),
asked AS (
  UPDATE turns t SET cancel_requested_at = coalesce(t.cancel_requested_at, now()),
         attempt = t.attempt + (t.status = 'running')::int,
         lease_expires_at = CASE WHEN t.status = 'running'
           THEN now() + make_interval(secs => :lease) END,
         status = CASE t.status WHEN 'queued' THEN 'cancelled' ELSE t.status END,
         ended_at = CASE WHEN t.status = 'queued' THEN now() END,
         error_code = CASE WHEN t.status = 'queued' THEN :code END,
         error_detail = CASE WHEN t.status = 'queued' THEN :detail END
  FROM locked WHERE t.session_id = locked.id AND t.id = :turn_id
    AND t.status IN ('queued', 'running')
  RETURNING t.*),
touched AS (
  UPDATE sessions x SET last_activity_at = now() FROM asked WHERE x.id = asked.session_id)
SELECT asked.id AS turn_id, asked.session_id, asked.user_id, asked.number, asked.status,
  asked.attempt, asked.crashes, asked.agent, asked.created_at, asked.started_at,
  true AS cancel_requested, said.id AS message_id, said.content AS said
FROM asked JOIN messages said ON said.turn_id = asked.id AND said.role = 'user'
""")


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """What came of asking for a turn to be cancelled.

    Attributes:
        ended: Whether the turn waited, and is cancelled now.
        turn: The turn if it ran: taken over, for its end to be brought about. If neither, it was
            over before, or the user has none such.
    """

    ended: bool = False
    turn: RunningTurn | None = None


def request_cancel(
    database: Database, user_id: str, session_id: UUID, turn_id: UUID
) -> CancelRequest:
    """Cancel a queued turn, or take a running one over. One round trip.

    That it is to be cancelled is kept with the turn: whoever takes it over next only ends it.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    parameters = {
        "user_id": user_id,
        "session_id": session_id,
        "turn_id": turn_id,
        "lease": float(LEASE_SECONDS),
        "code": CANCELLED,
        "detail": "The turn was cancelled before it began.",
    }
    rows = database.run(OfUser(user_id), _CANCEL, parameters)
    if not rows:
        return CancelRequest()
    (row,) = rows
    if row.status == "cancelled":
        return CancelRequest(ended=True)
    return CancelRequest(turn=taken_over(row))
