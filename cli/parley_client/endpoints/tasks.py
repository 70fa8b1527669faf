"""Tasks, as the agent keeps them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from parley_client.call import (
    UNSET,
    Call,
    Page,
    Series,
    Unset,
    below,
    given,
    key_or_new,
    nothing,
    present,
    shown_as,
)
from parley_client.models import Task


def create_task(
    title: str,
    *,
    notes: str | None = None,
    due_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Call[Task]:
    """Make a task; `due_at` must say its time zone."""
    body = present(title=title, notes=notes, due_at=due_at)
    return Call("POST", "/tasks", shown_as(Task), body=body, key=key_or_new(idempotency_key))


def list_tasks(
    *,
    completed: bool | None = None,
    due_before: datetime | None = None,
    text: str | None = None,
    page_size: int = 100,
) -> Series[Task]:
    """List the user's tasks, oldest first; those that hold a text in title or notes."""
    query = {"completed": completed, "due_before": due_before, "text": text}
    return Series(
        lambda cursor: Call(
            "GET",
            "/tasks",
            shown_as(Page[Task]),
            query={**query, "limit": page_size, "cursor": cursor},
        )
    )


def read_task(task_id: UUID | str) -> Call[Task]:
    """Read one task."""
    return Call("GET", below("/tasks", task_id), shown_as(Task))


def change_task(
    task_id: UUID | str,
    *,
    title: str | Unset = UNSET,
    notes: str | Unset | None = UNSET,
    due_at: datetime | Unset | None = UNSET,
    completed: bool | Unset = UNSET,
) -> Call[Task]:
    """Change what is given.

    It is not sent again when its answer is lost: the agent may have changed the task meanwhile.
    """
    return Call(
        "PATCH",
        below("/tasks", task_id),
        shown_as(Task),
        body=given(title=title, notes=notes, due_at=due_at, completed=completed),
        repeatable=False,
    )


def delete_task(task_id: UUID | str) -> Call[None]:
    """Delete a task."""
    return Call("DELETE", below("/tasks", task_id), nothing)
