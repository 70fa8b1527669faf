"""Whose what is, and how it becomes another user's: a session at a time, under a condition.

An idempotency key or a name that the other user has already stays theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from parley.ids import conversation_key
from parley.repository.database import Database
from parley.repository.deletion import GRACE
from parley.repository.scope import SERVICE, OfUser
from parley.repository.states import OPEN_IN_SQL


@dataclass(frozen=True, slots=True)
class OwnedSession:
    """A session of a user's.

    Attributes:
        next_number: The number of its next turn; as long as it is the same none was begun.
        open: Whether a turn of it is not over.
    """

    id: UUID
    next_number: int
    open: bool


def owned_sessions(
    database: Database, user_id: str, *, after: UUID | None, limit: int
) -> list[OwnedSession]:
    """Return the user's sessions in the order of their ids, at most `limit`."""
    parameters = {"user_id": user_id, "after": after, "limit": limit}
    return [
        OwnedSession(**row._mapping) for row in database.run(OfUser(user_id), _OWNED, parameters)
    ]


def move_session(database: Database, old: str, new: str, session: OwnedSession) -> bool:
    """Make a session another user's with all its rows, and leave its old memory to the outbox.

    Returns:
        False if a turn was begun since it was found, or it is not there any more; nothing was
        changed then.
    """
    parameters = {
        "old": old,
        "new": new,
        "session_id": session.id,
        "next_number": session.next_number,
        "conversation": conversation_key(old, session.id),
    }
    return bool(database.run(SERVICE, _MOVE_SESSION, parameters))


def move_keys(database: Database, old: str, new: str) -> int:
    """Make the kept keys of what was deleted another user's, and give how many."""
    return len(database.run(SERVICE, _MOVE_KEYS, {"old": old, "new": new}))


def move_limits(database: Database, old: str, new: str) -> None:
    """Count for another user too what was counted of one."""
    database.run(SERVICE, _MOVE_LIMITS, {"old": old, "new": new})


def move_budget(database: Database, old: str, new: str) -> None:
    """Let another user spend what an administrator let one, if nothing is set for the other."""
    database.run(SERVICE, _MOVE_BUDGET, {"old": old, "new": new})


_OPEN = f"SELECT FROM turns t WHERE t.session_id = s.id AND t.status IN {OPEN_IN_SQL}"

_OWNED = text(f"""
SELECT s.id, s.next_number, EXISTS ({_OPEN}) AS open FROM sessions s
WHERE s.user_id = :user_id AND (CAST(:after AS uuid) IS NULL OR s.id > CAST(:after AS uuid))
ORDER BY s.id LIMIT :limit
""")


def _own_key(table: str, row: str) -> str:
    """Keep a row's key, unless the other user has used the same one."""
    return f"""CASE WHEN NOT EXISTS (
    SELECT FROM {table} o WHERE o.user_id = :new AND o.idempotency_key = {row}.idempotency_key)
    THEN {row}.idempotency_key END"""


_MOVE_SESSION = text(f"""
WITH own AS MATERIALIZED (
  SELECT s.id FROM sessions s
  WHERE s.id = :session_id AND s.user_id = :old AND s.next_number = :next_number
    AND NOT EXISTS ({_OPEN})
  FOR UPDATE OF s),
moved AS (
  UPDATE turns t SET user_id = :new, idempotency_key = {_own_key("turns", "t")}
  FROM own WHERE t.session_id = own.id),
asked AS (
  UPDATE approvals a SET user_id = :new
  FROM own JOIN turns t ON t.session_id = own.id WHERE a.turn_id = t.id),
outbox AS (
  INSERT INTO memory_deletions (conversation, not_before)
  SELECT :conversation, now() + {GRACE} FROM own
  ON CONFLICT (conversation) DO UPDATE SET not_before = excluded.not_before, below = NULL)
UPDATE sessions s SET user_id = :new, idempotency_key = {_own_key("sessions", "s")},
  name = CASE WHEN EXISTS (SELECT FROM sessions o WHERE o.user_id = :new AND o.name = s.name)
         THEN s.name || ' (' || right(s.id::text, 8) || ')' ELSE s.name END
FROM own WHERE s.id = own.id
RETURNING s.id
""")

_MOVE_KEYS = text("""
UPDATE idempotency_tombstones b SET user_id = :new
WHERE b.user_id = :old AND NOT EXISTS (
  SELECT FROM idempotency_tombstones o
  WHERE o.user_id = :new AND o.kind = b.kind AND o.idempotency_key = b.idempotency_key)
RETURNING b.kind
""")

_MOVE_LIMITS = text("""
WITH gone AS (DELETE FROM user_limits WHERE user_id = :old RETURNING *)
INSERT INTO user_limits AS u (user_id, begun_at, day, day_tokens, month_tokens, day_nanodollars,
  month_nanodollars)
SELECT :new, begun_at, day, day_tokens, month_tokens, day_nanodollars, month_nanodollars FROM gone
ON CONFLICT (user_id) DO UPDATE SET
  begun_at = ARRAY(
    SELECT at FROM unnest(u.begun_at || excluded.begun_at) AS at ORDER BY at DESC),
  day = greatest(u.day, excluded.day),
  day_tokens = CASE WHEN u.day >= greatest(u.day, excluded.day) THEN u.day_tokens ELSE 0 END
    + CASE WHEN excluded.day >= greatest(u.day, excluded.day) THEN excluded.day_tokens ELSE 0 END,
  month_tokens =
    CASE WHEN date_trunc('month', u.day) >= date_trunc('month', greatest(u.day, excluded.day))
    THEN u.month_tokens ELSE 0 END
    + CASE WHEN date_trunc('month', excluded.day)
      >= date_trunc('month', greatest(u.day, excluded.day)) THEN excluded.month_tokens ELSE 0 END,
  day_nanodollars =
    CASE WHEN u.day >= greatest(u.day, excluded.day) THEN u.day_nanodollars ELSE 0 END
    + CASE WHEN excluded.day >= greatest(u.day, excluded.day)
      THEN excluded.day_nanodollars ELSE 0 END,
  month_nanodollars =
    CASE WHEN date_trunc('month', u.day) >= date_trunc('month', greatest(u.day, excluded.day))
    THEN u.month_nanodollars ELSE 0 END
    + CASE WHEN date_trunc('month', excluded.day)
      >= date_trunc('month', greatest(u.day, excluded.day))
      THEN excluded.month_nanodollars ELSE 0 END
""")

_MOVE_BUDGET = text("""
WITH gone AS (DELETE FROM user_budgets WHERE user_id = :old RETURNING *)
INSERT INTO user_budgets (user_id, tokens_per_day, tokens_per_month, nanodollars_per_day,
  nanodollars_per_month)
SELECT :new, tokens_per_day, tokens_per_month, nanodollars_per_day, nanodollars_per_month FROM gone
ON CONFLICT (user_id) DO NOTHING
""")
