"""The todo agent's tasks. Functions work inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.orm import Session

from parley.errors import InvalidField, NotFound
from parley.ids import new_id
from parley.repository.models import TaskRow
from parley.text import storable

TITLE_MAX_CHARS = 500
NOTES_MAX_CHARS = 10_000
FOUND_AT_MOST = 100
"""How many tasks a search gives: what a model can be expected to read."""


def add(
    connection: Connection,
    user_id: str,
    title: str,
    notes: str | None = None,
    due_at: datetime | None = None,
) -> TaskRow:
    """Add a task.

    Raises:
        InvalidField: The title is empty, or a text is too long.
    """
    values = _checked({"title": title, "notes": notes, "due_at": due_at})
    statement = insert(TaskRow).values(id=new_id(), user_id=user_id, **values).returning(TaskRow)
    return Session(connection).scalars(statement).one()


def find(
    connection: Connection,
    user_id: str,
    *,
    containing: str | None = None,
    completed: bool | None = None,
) -> Sequence[TaskRow]:
    """Find tasks, oldest first, at most `FOUND_AT_MOST`.

    Args:
        connection: The caller's.
        user_id: Whose tasks.
        containing: Text in the title or the notes, in any case; None for all.
        completed: Only those done, or not done; None for both.
    """
    query = select(TaskRow).where(TaskRow.user_id == user_id)
    if containing is not None:
        wanted = storable(containing)
        query = query.where(
            TaskRow.title.icontains(wanted, autoescape=True)
            | TaskRow.notes.icontains(wanted, autoescape=True)
        )
    if completed is not None:
        done = TaskRow.completed_at.is_not(None)
        query = query.where(done if completed else ~done)
    query = query.order_by(TaskRow.id).limit(FOUND_AT_MOST)
    return Session(connection).scalars(query).all()


def change(
    connection: Connection, user_id: str, task_id: UUID, changes: Mapping[str, Any]
) -> TaskRow:
    """Set some of a task's title, notes and time due.

    Raises:
        NotFound: The user has no such task.
        InvalidField: The title is empty, or a text is too long.
    """
    return _update(connection, user_id, task_id, _checked(changes))


def complete(connection: Connection, user_id: str, task_id: UUID) -> TaskRow:
    """Tick a task off; one that is done stays as it is.

    Raises:
        NotFound: The user has no such task.
    """
    return _update(
        connection, user_id, task_id, {"completed_at": text("coalesce(completed_at, now())")}
    )


def remove(connection: Connection, user_id: str, task_id: UUID) -> TaskRow:
    """Delete a task and give what it was.

    Raises:
        NotFound: The user has no such task.
    """
    statement = (
        delete(TaskRow).where(TaskRow.id == task_id, TaskRow.user_id == user_id).returning(TaskRow)
    )
    row = Session(connection).scalars(statement).first()
    if row is None:
        raise NotFound("task", task_id)
    return row


def _update(
    connection: Connection, user_id: str, task_id: UUID, values: Mapping[str, Any]
) -> TaskRow:
    statement = (
        update(TaskRow)
        .where(TaskRow.id == task_id, TaskRow.user_id == user_id)
        .values({**values, "updated_at": text("now()")})
        .returning(TaskRow)
    )
    row = Session(connection).scalars(statement).first()
    if row is None:
        raise NotFound("task", task_id)
    return row


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(values)
    limits = {"title": TITLE_MAX_CHARS, "notes": NOTES_MAX_CHARS}
    for field, limit in limits.items():
        if isinstance(checked.get(field), str):
            checked[field] = storable(checked[field]).strip()
            if len(checked[field]) > limit:
                raise InvalidField(field, f"has more than {limit} characters")
    if "title" in checked and not checked["title"]:
        raise InvalidField("title", "is empty")
    return checked
