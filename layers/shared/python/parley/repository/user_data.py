"""What Postgres keeps of one user: read page by page, and deleted in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from parley.ids import TurnKey, conversation_key
from parley.repository.database import Database
from parley.repository.deletion import GRACE, ROWS, deletion
from parley.repository.scope import SERVICE, OfUser


@dataclass(frozen=True, slots=True)
class OwnSession:
    """One of the user's sessions.

    Attributes:
        rows: How many rows go with it.
    """

    id: UUID
    rows: int


def own_sessions(
    database: Database, user_id: str, *, after: UUID | None = None, limit: int
) -> list[OwnSession]:
    """Return the user's sessions in the order of their ids, at most `limit`."""
    parameters = {"user_id": user_id, "after": after, "limit": limit}
    return [
        OwnSession(row.id, row.rows) for row in database.run(OfUser(user_id), _SESSIONS, parameters)
    ]


def delete_sessions(database: Database, user_id: str, ids: Sequence[UUID]) -> set[UUID]:
    """Delete the user's sessions and give the ids of those that were there."""
    conversations = [conversation_key(user_id, session_id) for session_id in ids]
    parameters = {"user_id": user_id, "ids": list(ids), "conversations": conversations}
    return {row.id for row in database.run(OfUser(user_id), _DELETE_SESSIONS, parameters)}


def delete_keys(database: Database, user_id: str) -> int:
    """Delete the keys that are kept of what the user had, and give how many."""
    return len(database.run(OfUser(user_id), _DELETE_KEYS, {"user_id": user_id}))


def delete_limits(database: Database, user_id: str) -> int:
    """Delete what is counted of the user, and give how many rows that were."""
    return len(database.run(OfUser(user_id), _DELETE_LIMITS, {"user_id": user_id}))


def delete_budget(database: Database, user_id: str) -> int:
    """Delete what an administrator lets the user spend, and give how many rows that was."""
    return len(database.run(SERVICE, _DELETE_BUDGET, {"user_id": user_id}))


def export_budget(database: Database, user_id: str) -> Sequence[Row[Any]]:
    """Return what an administrator lets the user spend as `budget`, in a row at most."""
    return database.run(OfUser(user_id), _EXPORT_BUDGET, {"user_id": user_id})


def export_limits(database: Database, user_id: str) -> Sequence[Row[Any]]:
    """Return what is counted of the user as `limits`, in a row at most."""
    return database.run(OfUser(user_id), _EXPORT_LIMITS, {"user_id": user_id})


def export_sessions(
    database: Database, user_id: str, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Return the user's sessions as `id` and `session`, in the order of their ids."""
    return database.run(
        OfUser(user_id), _EXPORT_SESSIONS, {"user_id": user_id, "after": after, "limit": limit}
    )


def export_turns(
    database: Database, user_id: str, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Return the user's turns as `id`, `turn`, `messages`, `tool_calls` and `approvals`, as
    they were made.
    """
    return database.run(
        OfUser(user_id), _EXPORT_TURNS, {"user_id": user_id, "after": after, "limit": limit}
    )


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """A turn of the user's whose event log may still be kept."""

    session_id: UUID
    key: TurnKey


def logged_turns(
    database: Database,
    user_id: str,
    start: UUID | None,
    limit: int,
    *,
    again: bool,
    within: float,
) -> list[LoggedTurn]:
    """Return the user's turns that went on not long ago, as they were made.

    Args:
        database: Where they are.
        user_id: Whose.
        start: After which turn to begin.
        limit: How many at most.
        again: Whether to give that turn as well.
        within: How many seconds ago a turn may have ended.
    """
    parameters = {
        "user_id": user_id,
        "after": start,
        "again": again,
        "within": within,
        "limit": limit,
    }
    return [
        LoggedTurn(row.session_id, TurnKey(row.number, row.id))
        for row in database.run(OfUser(user_id), _LOGGED_TURNS, parameters)
    ]


_OWN = """
  {0}.user_id = :user_id AND (CAST(:after AS uuid) IS NULL OR {0}.id > CAST(:after AS uuid))
ORDER BY {0}.id LIMIT :limit
"""

_SESSIONS = text(f"SELECT s.id, {ROWS} AS rows FROM sessions s WHERE {_OWN.format('s')}")

# A turn of theirs may be running: its process may write late.
_DELETE_SESSIONS = deletion(f"""
  SELECT s.*, own.conversation, now() + {GRACE} AS not_before
  FROM unnest(CAST(:ids AS uuid[]), CAST(:conversations AS text[])) AS own(id, conversation)
  JOIN sessions s ON s.id = own.id AND s.user_id = :user_id
  ORDER BY s.id FOR UPDATE OF s
""")

_DELETE_KEYS = text("DELETE FROM idempotency_tombstones WHERE user_id = :user_id RETURNING kind")

_DELETE_LIMITS = text("DELETE FROM user_limits WHERE user_id = :user_id RETURNING user_id")

_DELETE_BUDGET = text("DELETE FROM user_budgets WHERE user_id = :user_id RETURNING user_id")

_EXPORT_BUDGET = text("SELECT to_jsonb(b) AS budget FROM user_budgets b WHERE b.user_id = :user_id")

_EXPORT_LIMITS = text("SELECT to_jsonb(u) AS limits FROM user_limits u WHERE u.user_id = :user_id")

_EXPORT_SESSIONS = text(f"""
SELECT s.id, to_jsonb(s) - 'fingerprint' AS session FROM sessions s WHERE {_OWN.format("s")}
""")

_EXPORT_TURNS = text(f"""
SELECT t.id, to_jsonb(t) - 'fingerprint' AS turn,
  coalesce((SELECT jsonb_agg(to_jsonb(m) ORDER BY m.role DESC) FROM messages m
            WHERE m.turn_id = t.id), '[]') AS messages,
  coalesce((SELECT jsonb_agg(to_jsonb(c) ORDER BY c.created_at, c.call_id) FROM tool_calls c
            WHERE c.turn_id = t.id), '[]') AS tool_calls,
  coalesce((SELECT jsonb_agg(to_jsonb(a) - 'arguments_schema' ORDER BY a.id) FROM approvals a
            WHERE a.turn_id = t.id), '[]') AS approvals
FROM turns t WHERE {_OWN.format("t")}
""")

_LOGGED_TURNS = text("""
SELECT t.id, t.session_id, t.number FROM turns t
WHERE t.user_id = :user_id
  AND coalesce(t.ended_at, now()) > now() - make_interval(secs => :within)
  AND (CAST(:after AS uuid) IS NULL OR t.id > CAST(:after AS uuid)
       OR (:again AND t.id = CAST(:after AS uuid)))
ORDER BY t.id LIMIT :limit
""")
