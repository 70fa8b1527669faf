"""Identifiers. All are made in Python, before the insert that stores them."""

from __future__ import annotations

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """Make a UUIDv7: unique, and in order of the millisecond in which it was made."""
    return uuid_utils.compat.uuid7()


def conversation_key(user_id: str, session_id: UUID) -> str:
    """Name a session's memory in the agent-session store.

    The key is made on the server only and never shown to a client: who knows it could ask the
    store for a stranger's memory.
    """
    return f"user_{user_id}_conv_{session_id}"
