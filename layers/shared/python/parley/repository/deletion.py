"""Deleting sessions: rows go, keys are kept for a day, memory is left to the outbox.

All in one statement, which locks the sessions before anything of theirs (turn-protocol, section 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import TextClause, text

from parley.timing import GRACE_SECONDS

KEY_KEPT_HOURS = 24
"""How long an idempotency key is good for at least, also past its session's deletion."""

GRACE = f"make_interval(secs => {GRACE_SECONDS})"

ROWS = """1 + (SELECT cardinality(own.ids)
      + (SELECT count(*) FROM messages m WHERE m.turn_id = ANY(own.ids))
      + (SELECT count(*) FROM tool_calls c WHERE c.turn_id = ANY(own.ids))
    FROM (SELECT ARRAY(SELECT t.id FROM turns t WHERE t.session_id = s.id) AS ids OFFSET 0) own)"""
"""How many rows go with the session `s`, as an expression."""

ROWS_A_STATEMENT = 2000
"""About how many rows one statement should delete: so long are their sessions locked."""


class _Weighty(Protocol):
    @property
    def rows(self) -> int:
        """How many rows go with it."""


S = TypeVar("S", bound=_Weighty)


def by_rows(sessions: Sequence[S]) -> Iterator[list[S]]:
    """Part sessions into batches that one statement may delete; a large one stands alone."""
    few: list[S] = []
    rows = 0
    for each in sessions:
        if few and rows + each.rows > ROWS_A_STATEMENT:
            yield few
            few, rows = [], 0
        few.append(each)
        rows += each.rows
    if few:
        yield few


def deletion(chosen: str) -> TextClause:
    """Make the statement that deletes some sessions and gives their ids.

    Args:
        chosen: A query that locks the sessions' rows and gives them whole, each with its
            `conversation` and with `not_before`, when its memory is removed for the last time.
    """
    return text(f"""
WITH chosen AS MATERIALIZED ({chosen}),
keys AS MATERIALIZED (
  SELECT 'turn' AS kind, t.user_id, t.idempotency_key, t.fingerprint, t.created_at
  FROM turns t JOIN chosen ON t.session_id = chosen.id
  WHERE t.idempotency_key IS NOT NULL
  UNION ALL
  SELECT 'session', user_id, idempotency_key, fingerprint, created_at FROM chosen
  WHERE idempotency_key IS NOT NULL),
buried AS (
  INSERT INTO idempotency_tombstones (user_id, kind, idempotency_key, fingerprint, expires_at)
  SELECT user_id, kind, idempotency_key, fingerprint,
         created_at + make_interval(hours => {KEY_KEPT_HOURS})
  FROM keys WHERE created_at + make_interval(hours => {KEY_KEPT_HOURS}) > now()
  ON CONFLICT (user_id, kind, idempotency_key)
  DO UPDATE SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at),
outbox AS (
  INSERT INTO memory_deletions (conversation, not_before)
  SELECT conversation, not_before FROM chosen
  ON CONFLICT (conversation) DO UPDATE SET not_before = excluded.not_before, below = NULL)
DELETE FROM sessions s USING chosen WHERE s.id = chosen.id
RETURNING s.id
""")
