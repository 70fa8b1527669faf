"""Escalating a session: an agent asks for a person."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, func, update

from parley.errors import InvalidField
from parley.repository.tables import SESSIONS
from parley.text import storable

REASON_MAX_CHARS = 1000


def escalate(connection: Connection, session_id: UUID, reason: str) -> None:
    """Set a session to `escalated`, in the transaction of the tool that asks for it.

    It runs no turns until somebody sets it back to `active`; the turn that escalates it goes on to
    its reply. The session's row stays locked until the transaction ends, and the fence, its last
    statement, locks the turn's: session before turn, as everywhere (turn-protocol, section 2).
    A session that was deleted meanwhile is left to the fence too, since its turn went with it.

    Args:
        connection: The caller's.
        session_id: The session of the turn that is running, never one that a model has named.
        reason: What the person has to know.

    Raises:
        InvalidField: The reason is empty or too long.
    """
    told = storable(reason).strip()
    if not told:
        raise InvalidField("reason", "is empty")
    if len(told) > REASON_MAX_CHARS:
        raise InvalidField("reason", f"has more than {REASON_MAX_CHARS} characters")
    connection.execute(
        update(SESSIONS)
        .where(SESSIONS.c.id == session_id)
        .values(status="escalated", status_reason=told, updated_at=func.now())
    )
