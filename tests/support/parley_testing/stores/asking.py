"""A turn that waits until somebody has decided on a call."""

from __future__ import annotations

from uuid import UUID

import psycopg

from parley.ids import new_id
from parley.repository.approvals import Approval, Asked, pause
from parley.repository.database import Database
from parley.repository.sessions import SessionRepository
from parley.repository.turns import TurnRepository
from parley_testing.stores.talk import begin, request

OF_EVENTS = {
    f"call_{number}": UUID(f"01939d5c-2c00-7000-8000-00000000000{number}") for number in (4, 5)
}
"""What the events under `events/` decide on."""


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


def ask_as_events_do(database: Database, sql: psycopg.Connection) -> None:
    """Make what the events decide on: a call for the user, and one for an administrator."""
    elsewhere, _ = SessionRepository(database).create(
        new_id(),
        "alice",
        agent="todo",
        name=None,
        platform="api",
        metadata={},
        idempotency_key=None,
        fingerprint=b"",
    )
    turn = begin(TurnRepository(database, window=100), request("alice", str(elsewhere.id)))
    asked = [Asked("call_4", "todo", "refund", "{}"), Asked("call_5", "todo", "pay", "{}", "admin")]
    assert pause(database, turn, asked, expires_in=3600, spent=0)
    for call_id, approval_id in OF_EVENTS.items():
        sql.execute("UPDATE approvals SET id = %s WHERE call_id = %s", [approval_id, call_id])
