"""The routes of tasks from Python, on Parley's client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from parley_client import Parley


class Task(BaseModel):
    """Something to do; done when `completed_at` is set."""

    id: UUID
    title: str
    notes: str | None
    due_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


def create_task(
    parley: Parley,
    title: str,
    *,
    notes: str | None = None,
    due_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Task:
    """Make a task; `due_at` must say its time zone.

    Raises:
        ParleyError: The API refused, or could not be reached.
    """
    body = {"title": title, "notes": notes, "due_at": due_at}
    made = parley.request("POST", "/tasks", body=body, idempotency_key=idempotency_key)
    return Task.model_validate(made)


def list_tasks(
    parley: Parley,
    *,
    completed: bool | None = None,
    due_before: datetime | None = None,
    text: str | None = None,
) -> Iterator[Task]:
    """Yield the user's tasks, oldest first; those that hold a text in title or notes.

    Raises:
        ParleyError: As `create_task`, while it is iterated over.
    """
    query = {"completed": completed, "due_before": due_before, "text": text}
    return map(Task.model_validate, parley.request_items("/tasks", query=query))


def change_task(parley: Parley, task_id: UUID, **changes: Any) -> Task:
    """Change a task's `title`, `notes`, `due_at` or `completed`.

    Raises:
        ParleyError: As `create_task`.
    """
    return Task.model_validate(parley.request("PATCH", f"/tasks/{task_id}", body=changes))


def delete_task(parley: Parley, task_id: UUID) -> None:
    """Delete a task.

    Raises:
        ParleyError: As `create_task`.
    """
    parley.request("DELETE", f"/tasks/{task_id}")
