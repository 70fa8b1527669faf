"""The users' tasks. Functions work on the caller's connection, of a tool or of a route.

What they take is checked here, so that nothing that an agent writes is refused or broken over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, text, update

from parley.http import (
    Fingerprint,
    IdempotencyKeyReused,
    InvalidField,
    LimitReached,
    NotFound,
)
from parley.ids import new_id
from tasks_desk.table import TASKS, Task

TITLE_MAX_CHARS = 500
NOTES_MAX_CHARS = 10_000
TASKS_MAX = 10_000
"""How many tasks one user may have: more than a person has, and fewer than a loop makes."""
DELETED_KEYS_MAX = 10_000
"""How many keys of one user's deleted tasks are kept: with them, no task with a key is made."""
KEY_KEPT_HOURS = 24
"""How long a task's idempotency key is good for at least, also past the task's deletion."""

DUE_FROM = datetime(2000, 1, 1, tzinfo=UTC)
DUE_UNTIL = datetime(3000, 1, 1, tzinfo=UTC)
"""Between these a task may be due. Postgres keeps times that Python cannot read."""


def add(
    connection: Connection,
    user_id: str,
    title: str,
    notes: str | None = None,
    due_at: datetime | None = None,
) -> Task:
    """Add a task, in a transaction in which the user's tasks are counted alone.

    Raises:
        InvalidField: The title is empty, a text is too long, or the time out of range.
        LimitReached: The user has as many tasks as one may have.
    """
    values = _checked({"title": title, "notes": notes, "due_at": due_at})
    values |= {"id": new_id(), "user_id": user_id, "key": None, "fingerprint": None}
    row = connection.execute(_CREATE, values | _bounds()).one()
    if row.id is None:
        raise LimitReached("max_tasks", TASKS_MAX)
    return Task.of(row)


def create(
    connection: Connection,
    task_id: UUID,
    user_id: str,
    *,
    title: str,
    notes: str | None,
    due_at: datetime | None,
    idempotency_key: str | None,
    fingerprint: Fingerprint,
) -> tuple[Task, bool]:
    """Create a task, or find the one that the key already has; may be repeated.

    The user's tasks are counted: it is for a statement that runs alone.

    Returns:
        The task, and whether its id is the one given: made by this call, or by an earlier try of
        it whose answer was lost.

    Raises:
        InvalidField: The title is empty, a text is too long, or the time out of range.
        IdempotencyKeyReused: The key made another task, from other fields.
        NotFound: The key's task was deleted.
        LimitReached: The user has as many tasks as one may have; or has deleted so many within a
            day that no further key can be kept.
    """
    parameters = {
        "id": task_id,
        "user_id": user_id,
        "key": idempotency_key,
        "fingerprint": bytes(fingerprint) if idempotency_key else None,
        **_bounds(),
        **_checked({"title": title, "notes": notes, "due_at": due_at}),
    }
    while True:
        row = connection.execute(_CREATE, parameters).one()
        if row.id == task_id:
            return Task.of(row), True
        before = row.buried if row.id is None else row.fingerprint
        if before is None and row.full:
            raise LimitReached("max_tasks", TASKS_MAX)
        if before is None and row.free_in is not None:
            raise LimitReached("max_deleted_task_keys", DELETED_KEYS_MAX, row.free_in)
        if before is None:
            continue  # the same key's was made meanwhile, which this statement could not see
        if not fingerprint.is_of(before):
            raise IdempotencyKeyReused(idempotency_key or "")
        if row.id is None:
            raise NotFound("task", idempotency_key)
        return Task.of(row), False


def get(connection: Connection, user_id: str, task_id: UUID) -> Task:
    """Look at one task.

    Raises:
        NotFound: The user has no such task.
    """
    query = select(TASKS).where(TASKS.c.id == task_id, TASKS.c.user_id == user_id)
    return _found(connection.execute(query).first(), task_id)


def change(connection: Connection, user_id: str, task_id: UUID, changes: Mapping[str, Any]) -> Task:
    """Set some of a task's `title`, `notes`, `due_at` and `completed`; no other is touched.

    A task that is done already keeps the time at which it was.

    Raises:
        NotFound: The user has no such task.
        InvalidField: The title is empty, a text is too long, or the time out of range.
    """
    values = _checked(changes)
    if not values:
        return get(connection, user_id, task_id)
    if "completed" in values:
        done = func.coalesce(TASKS.c.completed_at, func.now()) if values.pop("completed") else None
        values["completed_at"] = done
    statement = (
        update(TASKS)
        .where(TASKS.c.id == task_id, TASKS.c.user_id == user_id)
        .values({**values, "updated_at": func.now()})
        .returning(TASKS)
    )
    return _found(connection.execute(statement).first(), task_id)


def remove(connection: Connection, user_id: str, task_id: UUID) -> Task:
    """Delete a task and give what it was; its key is kept for the rest of its day.

    Raises:
        NotFound: The user has no such task.
    """
    parameters = {"user_id": user_id, "id": task_id, "kept": KEY_KEPT_HOURS}
    return _found(connection.execute(_REMOVE, parameters).first(), task_id)


def _bounds() -> dict[str, int]:
    return {"most": TASKS_MAX, "most_keys": DELETED_KEYS_MAX}


def _found(row: Row[*tuple[Any, ...]] | None, task_id: UUID) -> Task:
    if row is None:
        raise NotFound("task", task_id)
    return Task.of(row)


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(values)
    limits = {"title": TITLE_MAX_CHARS, "notes": NOTES_MAX_CHARS}
    for field, limit in limits.items():
        if isinstance(checked.get(field), str):
            checked[field] = checked[field].strip()
            if len(checked[field]) > limit:
                raise InvalidField(field, f"has more than {limit} characters")
    if "title" in checked and not checked["title"]:
        raise InvalidField("title", "is empty")
    if (due_at := checked.get("due_at")) is not None:
        if due_at.tzinfo is None:  # a model may leave it out, and all our times are UTC
            due_at = checked["due_at"] = due_at.replace(tzinfo=UTC)
        if not DUE_FROM <= due_at <= DUE_UNTIL:
            raise InvalidField(
                "due_at", f"must be from the year {DUE_FROM.year} to {DUE_UNTIL.year}"
            )
    return checked


# Whether the key is a living task's or a deleted one's is read in one snapshot with what deletion
# does in one statement: exactly one of the two is seen.
_CREATE = text("""
WITH prior AS MATERIALIZED (
  SELECT * FROM tasks WHERE user_id = :user_id AND (idempotency_key = :key OR id = :id)),
buried AS MATERIALIZED (
  SELECT fingerprint FROM deleted_task_keys
  WHERE user_id = :user_id AND idempotency_key = :key AND expires_at > now()),
excess AS MATERIALIZED (
  SELECT WHERE EXISTS (
    SELECT FROM tasks WHERE user_id = :user_id OFFSET CAST(:most AS bigint) - 1)),
-- Keys of deleted tasks are kept for the rest of their day: a loop that makes and deletes is told
-- when the first of them is free.
keys AS MATERIALIZED (
  SELECT min(k.expires_at) AS first FROM deleted_task_keys k
  WHERE CAST(:key AS text) IS NOT NULL AND k.user_id = :user_id AND k.expires_at > now()
  HAVING count(*) >= CAST(:most_keys AS bigint)),
made AS (
  INSERT INTO tasks (id, user_id, title, notes, due_at, idempotency_key, fingerprint)
  SELECT :id, :user_id, :title, :notes, :due_at, :key, :fingerprint
  WHERE NOT EXISTS (SELECT FROM prior) AND NOT EXISTS (SELECT FROM buried)
    AND NOT EXISTS (SELECT FROM excess) AND NOT EXISTS (SELECT FROM keys)
  ON CONFLICT DO NOTHING
  RETURNING *)
SELECT task.*, (SELECT fingerprint FROM buried) AS buried, EXISTS (SELECT FROM excess) AS "full",
  (SELECT extract(epoch FROM first - now())::float FROM keys) AS free_in
FROM (SELECT) one
  LEFT JOIN (SELECT * FROM made UNION ALL SELECT * FROM prior) task ON true
""")

_REMOVE = text("""
WITH gone AS (
  DELETE FROM tasks WHERE id = :id AND user_id = :user_id RETURNING *),
expired AS (
  DELETE FROM deleted_task_keys WHERE user_id = :user_id AND expires_at <= now()
    AND idempotency_key IS DISTINCT FROM (SELECT idempotency_key FROM gone)),
buried AS (
  INSERT INTO deleted_task_keys (task_id, user_id, idempotency_key, fingerprint, expires_at)
  SELECT id, user_id, idempotency_key, fingerprint, created_at + make_interval(hours => :kept)
  FROM gone
  WHERE idempotency_key IS NOT NULL AND created_at + make_interval(hours => :kept) > now()
  ON CONFLICT (user_id, idempotency_key) DO UPDATE SET task_id = excluded.task_id,
    fingerprint = excluded.fingerprint, expires_at = excluded.expires_at)
SELECT * FROM gone
""")
