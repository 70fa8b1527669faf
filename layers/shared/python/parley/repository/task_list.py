"""The list of a user's tasks, oldest first.

A task's place is its id, which is in the order of creation and never changes: who pages while
tasks are changed sees each once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, select
from sqlalchemy.orm import Session

from parley.repository.models import TaskRow
from parley.repository.paging import Page, decode, encode
from parley.text import storable

_POSITION: TypeAdapter[tuple[Literal["tasks"], UUID]] = TypeAdapter(tuple[Literal["tasks"], UUID])


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None matches all.

    Attributes:
        completed: Only those done, or not done.
        due_before: Only those that have to be done before this time.
        containing: Only those with this text in their title or notes, in any case.
    """

    completed: bool | None = None
    due_before: datetime | None = None
    containing: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Give the filter as conditions on the table."""
        wanted: list[ColumnElement[bool]] = []
        if self.completed is not None:
            done = TaskRow.completed_at.is_not(None)
            wanted.append(done if self.completed else ~done)
        if self.due_before is not None:
            wanted.append(TaskRow.due_at < self.due_before)
        if self.containing is not None:
            text = storable(self.containing)
            wanted.append(
                TaskRow.title.icontains(text, autoescape=True)
                | TaskRow.notes.icontains(text, autoescape=True)
            )
        return wanted


def list_tasks(
    connection: Connection,
    user_id: str,
    matching: TaskFilter,
    *,
    limit: int,
    cursor: str | None = None,
) -> Page[TaskRow]:
    """List tasks, oldest first.

    A text is looked for in the user's tasks one by one, which the index finds in their order: no
    other user's are read, and reading ends when the page is full.

    Args:
        connection: The caller's.
        user_id: Whose.
        matching: Which of them.
        limit: At most so many, 1 to 100.
        cursor: Where the page starts, as the one before said.

    Raises:
        InvalidField: The cursor is not one of this list.
    """
    query = select(TaskRow).where(TaskRow.user_id == user_id, *matching.conditions())
    if cursor is not None:
        _, last = decode(cursor, _POSITION)
        query = query.where(TaskRow.id > last)
    query = query.order_by(TaskRow.id).limit(limit + 1)
    rows = Session(connection).scalars(query).all()
    page = rows[:limit]
    return Page(page, encode(["tasks", page[-1].id]) if len(rows) > limit else None)
