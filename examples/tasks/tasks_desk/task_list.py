"""The list of a user's tasks, oldest first.

A task's place is its id, which is in the order of creation and never changes: who pages while
tasks are changed sees each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, over, select

from parley.http import InvalidField, decode_cursor, encode_cursor, fitting
from tasks_desk.table import TASKS, Task

SEARCH_MAX_CHARS = 100
SEARCH_ROWS = 5_000
SEARCH_BYTES = 1_000_000
"""How long a text may be that is looked for, and how many tasks and bytes of theirs one page looks
at. Looking costs the product of both lengths at worst, and so never more than a moment."""

_POSITION: TypeAdapter[tuple[Literal["tasks"], UUID]] = TypeAdapter(tuple[Literal["tasks"], UUID])


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None matches all.

    Attributes:
        completed: Only those done, or not done.
        due_before: Only those that have to be done before this time.
        containing: Only those with this text in their title or notes, in any case; it has
            `SEARCH_MAX_CHARS` characters at most.
    """

    completed: bool | None = None
    due_before: datetime | None = None
    containing: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as conditions on the table, but for the text."""
        wanted: list[ColumnElement[bool]] = []
        if self.completed is not None:
            done = TASKS.c.completed_at.is_not(None)
            wanted.append(done if self.completed else ~done)
        if self.due_before is not None:
            wanted.append(TASKS.c.due_at < self.due_before)
        return wanted


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of tasks.

    Attributes:
        items: The tasks; of a search fewer than the limit, or none, also where others follow.
        next_cursor: Where the next page starts; None on the last.
    """

    items: Sequence[Task]
    next_cursor: str | None


def list_tasks(
    connection: Connection,
    user_id: str,
    matching: TaskFilter,
    *,
    limit: int,
    cursor: str | None = None,
) -> TaskPage:
    """List tasks, oldest first.

    A text is looked for in the user's tasks one by one, which the index finds in their order: no
    other user's are read, and reading ends when the page is full, or has looked at `SEARCH_ROWS`
    tasks or `SEARCH_BYTES` of text. Where the page ends so, the next goes on.

    Args:
        connection: The caller's.
        user_id: Whose.
        matching: Which of them.
        limit: At most so many, 1 to 100.
        cursor: Where the page starts, as the one before said.

    Raises:
        InvalidField: The cursor is not one of this list, or the text is too long.
    """
    own = select(TASKS).where(TASKS.c.user_id == user_id, *matching.conditions())
    if cursor is not None:
        _, last = decode_cursor(cursor, _POSITION)
        own = own.where(TASKS.c.id > last)
    own = own.order_by(TASKS.c.id)
    if matching.containing is None:
        rows, reached = connection.execute(own.limit(limit + 1)).all(), None
    else:
        text = matching.containing
        if len(text) > SEARCH_MAX_CHARS:
            raise InvalidField("text", f"has more than {SEARCH_MAX_CHARS} characters")
        rows, reached = _found(connection.execute(_search(own, text).limit(limit + 1)))
    kept = fitting(rows, limit, lambda task: [task.title, task.notes])
    page = [Task.of(row) for row in rows[:kept]]
    if len(rows) > kept:
        reached = page[-1].id
    return TaskPage(page, None if reached is None else encode_cursor(["tasks", reached]))


def _search(own: Select[*tuple[Any, ...]], text: str) -> Select[*tuple[Any, ...]]:
    """Look for a text in tasks, as far as one page may; also give the task at which it stops.

    Returns:
        Each task that has it, and what is past that which may be looked at, which `past` tells.
        `previous` is the task that comes before it.
    """
    size = func.octet_length(TASKS.c.title) + func.coalesce(func.octet_length(TASKS.c.notes), 0)
    so_far = partial(over, order_by=TASKS.c.id, rows=(None, 0))
    looked = (
        own.add_columns(
            (so_far(func.sum(size)) - size).label("before"),
            so_far(func.row_number()).label("place"),
            so_far(func.lag(TASKS.c.id)).label("previous"),
        )
        .limit(SEARCH_ROWS + 1)
        .subquery()
    )
    task = [looked.c[each.name] for each in TASKS.c]
    past = (looked.c.before >= SEARCH_BYTES) | (looked.c.place > SEARCH_ROWS)
    # Its time is that of the text's length times the task's at worst; LIKE's is several times it.
    wanted = func.lower(text)
    has = (func.strpos(func.lower(looked.c.title), wanted) > 0) | (
        func.strpos(func.lower(func.coalesce(looked.c.notes, "")), wanted) > 0
    )
    held = case((past, False), else_=has)
    return (
        select(*task, past.label("past"), looked.c.previous)
        .where(past | held)
        .order_by(looked.c.id)
    )


def _found(
    rows: Iterable[Row[*tuple[Any, ...]]],
) -> tuple[Sequence[Row[*tuple[Any, ...]]], UUID | None]:
    """Return the tasks that have the text, and the last that was looked at if others follow it."""
    found: list[Row[*tuple[Any, ...]]] = []
    for row in rows:
        if row.past:
            return found, row.previous
        found.append(row)
    return found, None
