"""What retention finds, and how it takes it: sessions by index, in batches, under conditions.

A page is found without a lock. Taking it locks, for one statement, the sessions that are still as
they were found; what somebody holds at that moment or has used since is left for another time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import TextClause, text

from parley.ids import conversation_key
from parley.repository.database import Database
from parley.repository.deletion import GRACE, ROWS, deletion
from parley.repository.scope import SERVICE
from parley.repository.states import OPEN_IN_SQL

Kind = Literal["closed_sessions", "empty_sessions"]


@dataclass(frozen=True, slots=True)
class Ages:
    """After how many seconds without activity something goes; a record, after it was written."""

    closed_sessions: float
    empty_sessions: float
    audit_records: float = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Scope:
    """Which sessions retention may come to; None matches all."""

    platform: str | None = None
    name_prefix: str | None = None
    user_id: str | None = None


EVERY = Scope()


@dataclass(frozen=True, slots=True)
class ExpiredSession:
    """A session that retention comes to.

    Attributes:
        rows: How many rows go with it.
    """

    id: UUID
    user_id: str
    name: str | None
    next_number: int
    last_activity_at: datetime
    rows: int

    @property
    def conversation(self) -> str:
        """The conversation key."""
        return conversation_key(self.user_id, self.id)


def find_expired(
    database: Database,
    kind: Kind,
    ages: Ages,
    scope: Scope,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[ExpiredSession]:
    """Find sessions that are due, those first that have been inactive for longest.

    None is due for two kinds, and none that has a turn which is not over.

    Args:
        database: Where they are.
        kind: Which sessions are to go.
        ages: Since when it must have been inactive.
        scope: Which sessions to look at.
        after: The last activity and the id of the last one found before.
        limit: At most so many.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    moment, session_id = after or (None, None)
    parameters: dict[str, Any] = {
        "age": getattr(ages, kind),
        "closed_age": ages.closed_sessions,
        "platform": scope.platform,
        "name_prefix": scope.name_prefix,
        "user_id": scope.user_id,
        "after": moment,
        "after_id": session_id,
        "limit": limit,
    }
    return [
        ExpiredSession(**row._mapping) for row in database.run(SERVICE, _FIND[kind], parameters)
    ]


def delete_expired(database: Database, kind: Kind, expired: Sequence[ExpiredSession]) -> set[UUID]:
    """Delete those sessions that are still due, and leave their memory to the outbox.

    Nobody can write to a session late that nobody has used for longer than an invocation lasts:
    what the outbox is left of it may be taken out again as soon as the memory is removed.

    Returns:
        The ids of those deleted.
    """
    return {row.id for row in database.run(SERVICE, _DELETE[kind], _as_found(expired))}


def expired_keys(database: Database) -> int:
    """Count the keys of what was deleted that are past their time."""
    return int(database.run(SERVICE, _COUNT_KEYS)[0].keys)


def remove_expired_keys(database: Database, limit: int) -> int:
    """Remove such keys, at most `limit`, and give how many."""
    return len(database.run(SERVICE, _REMOVE_KEYS, {"limit": limit}))


def _as_found(expired: Sequence[ExpiredSession]) -> dict[str, Any]:
    return {
        "ids": [each.id for each in expired],
        "numbers": [each.next_number for each in expired],
        "conversations": [each.conversation for each in expired],
    }


_CLOSED = "s.status <> 'active'"
_EMPTY = "s.next_number = 1"
_OVER = f"""NOT EXISTS (
    SELECT FROM turns t WHERE t.session_id = s.id AND t.status IN {OPEN_IN_SQL})"""
# What is deleted whole is not also due for less.
_NOT_CLOSED = f"NOT ({_CLOSED} AND s.last_activity_at < now() - make_interval(secs => :closed_age))"


def _find(condition: str, rows: str) -> TextClause:
    return text(f"""
SELECT s.id, s.user_id, s.name, s.next_number, s.last_activity_at, {rows} AS rows
FROM sessions s
WHERE {condition}
  AND s.last_activity_at < now() - make_interval(secs => :age)
  AND (CAST(:after AS timestamptz) IS NULL
    OR (s.last_activity_at, s.id) > (CAST(:after AS timestamptz), CAST(:after_id AS uuid)))
  AND (CAST(:platform AS text) IS NULL OR s.platform = :platform)
  AND (CAST(:name_prefix AS text) IS NULL OR starts_with(s.name, :name_prefix))
  AND (CAST(:user_id AS text) IS NULL OR s.user_id = :user_id)
  AND {_OVER}
ORDER BY s.last_activity_at, s.id LIMIT :limit
""")


_FIND: dict[Kind, TextClause] = {
    "closed_sessions": _find(_CLOSED, ROWS),
    # No number was given out: there is no turn, and nothing but the session's row to count.
    "empty_sessions": _find(f"{_EMPTY} AND {_NOT_CLOSED}", "1"),
}

# Found with nothing open: as long as no number was given out since, nothing is.
_FOUND = """
  unnest(CAST(:ids AS uuid[]), CAST(:numbers AS integer[]), CAST(:conversations AS text[]))
    AS found(id, next_number, conversation)
  JOIN sessions s ON s.id = found.id AND s.next_number = found.next_number
"""


def _delete(condition: str) -> TextClause:
    return deletion(f"""
  SELECT s.*, found.conversation, greatest(now(), s.last_activity_at + {GRACE}) AS not_before
  FROM {_FOUND} WHERE {condition} FOR UPDATE OF s SKIP LOCKED
""")


_DELETE: dict[Kind, TextClause] = {
    "closed_sessions": _delete(_CLOSED),
    "empty_sessions": _delete(_EMPTY),
}

_COUNT_KEYS = text("SELECT count(*) AS keys FROM idempotency_tombstones WHERE expires_at < now()")

_REMOVE_KEYS = text("""
DELETE FROM idempotency_tombstones WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM idempotency_tombstones WHERE expires_at < now()
  ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED))
RETURNING 1
""")
