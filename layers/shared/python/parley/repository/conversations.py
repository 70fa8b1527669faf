"""A session as a front end knows it: by the key that it was made with, or by its id."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ScalarSelect, and_, or_, select, true

from parley.repository.tables import SESSIONS


def conversation(
    user_id: str, key: str, session_id: UUID | None, agent: str | None = None
) -> ScalarSelect[UUID]:
    """Return what selects a session's id, for a query to compare with.

    Args:
        user_id: Whose session it is.
        key: The idempotency key that it was made with.
        session_id: Or its id, which counts before the key.
        agent: Whose it must be to be known by its id; None if any will do.
    """
    of_agent = true() if agent is None else SESSIONS.c.agent == agent
    known = and_(SESSIONS.c.id == session_id, of_agent)
    found = select(SESSIONS.c.id).where(
        SESSIONS.c.user_id == user_id, or_(known, SESSIONS.c.idempotency_key == key)
    )
    return found.order_by(known.desc()).limit(1).scalar_subquery()
