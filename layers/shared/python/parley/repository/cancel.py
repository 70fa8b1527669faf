"""The statement with which a turn is cancelled: what waits ends at once, what runs is taken over.

It stands whole in `sql/cancel.sql`.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.statements import statement
from parley.repository.turns import RunningTurn, taken_over
from parley.timing import LEASE_SECONDS

CANCELLED = "turn_cancelled"
"""The error code of every cancelled turn."""

_CANCEL = statement("cancel")


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
