"""A turn that waits until somebody has decided on a call."""

from __future__ import annotations

from parley.repository.approvals import Approval, Asked, pause
from parley.repository.database import Database
from parley.repository.turns import TurnRepository
from parley_testing.stores.talk import begin, request


def asking(database: Database, session_id: str, call: Asked, *, user: str = "alice") -> Approval:
    """Begin a turn, let it wait, and return what it asks for.

    Args:
        database: Where the session is.
        session_id: The session, in which nothing runs.
        call: What is to be decided on.
        user: Whose session it is.
    """
    turn = begin(TurnRepository(database, window=100), request(user, session_id))
    (approval,) = pause(database, turn, [call], expires_in=3600, spent=0) or []
    return approval
