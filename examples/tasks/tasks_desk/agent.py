"""The todo agent: keeps the tasks of the user whose turn it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from agents import Agent

from parley import Effect, TurnContext, effect_tool, read_tool
from tasks_desk import task_list, tasks
from tasks_desk.table import Task
from tasks_desk.task_list import TaskFilter

INSTRUCTIONS = """\
You keep the user's tasks. Use the tools for everything about tasks; never make up a task or an id.
If it is not clear which task is meant, find it first, and ask if several fit.
Answer in a sentence or two. Do not show ids."""

Listed = list[dict[str, Any]] | dict[str, Any]

LISTED_MAX = 100  # what a model can be expected to read
MORE = "There may be more tasks, which are not shown. Look for a text that fewer have."


@effect_tool
def add_task(
    effect: Effect, title: str, notes: str | None = None, due_at: datetime | None = None
) -> dict[str, Any]:
    """Add a task.

    Args:
        title: What is to be done.
        notes: More about it.
        due_at: When it has to be done, as an RFC 3339 time.
    """
    effect.alone()
    return _shown(tasks.add(effect.db, effect.user_id, title, notes, due_at))


@read_tool
def list_tasks(effect: Effect, completed: bool | None = None) -> Listed:
    """List the user's tasks, oldest first.

    Args:
        completed: True for those done only, false for those still to do, null for all.
    """
    return _listed(effect, TaskFilter(completed=completed))


@read_tool
def find_tasks(effect: Effect, text: str) -> Listed:
    """Find tasks that have a text in their title or notes.

    Args:
        text: What to look for, at most 100 characters; upper and lower case are the same.
    """
    return _listed(effect, TaskFilter(containing=text))


@effect_tool
def change_task(
    effect: Effect,
    task_id: UUID,
    title: str | None = None,
    notes: str | None = None,
    due_at: datetime | None = None,
) -> dict[str, Any]:
    """Change a task; what is null stays as it is.

    Args:
        task_id: The task's id, as a tool gave it.
        title: What is to be done.
        notes: More about it.
        due_at: When it has to be done, as an RFC 3339 time.
    """
    given = {"title": title, "notes": notes, "due_at": due_at}
    changes = {field: value for field, value in given.items() if value is not None}
    return _shown(tasks.change(effect.db, effect.user_id, task_id, changes))


@effect_tool
def complete_task(effect: Effect, task_id: UUID) -> dict[str, Any]:
    """Tick a task off as done.

    Args:
        task_id: The task's id, as a tool gave it.
    """
    return _shown(tasks.change(effect.db, effect.user_id, task_id, {"completed": True}))


@effect_tool
def delete_task(effect: Effect, task_id: UUID) -> dict[str, Any]:
    """Delete a task for good.

    Args:
        task_id: The task's id, as a tool gave it.
    """
    return {"deleted": _shown(tasks.remove(effect.db, effect.user_id, task_id))}


def build() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent(
        name="todo",
        instructions=INSTRUCTIONS,
        tools=[add_task, list_tasks, find_tasks, change_task, complete_task, delete_task],
    )


def _listed(effect: Effect, matching: TaskFilter) -> Listed:
    page = task_list.list_tasks(effect.db, effect.user_id, matching, limit=LISTED_MAX)
    shown = [_shown(task) for task in page.items]
    return shown if page.next_cursor is None else {"tasks": shown, "note": MORE}


def _shown(task: Task) -> dict[str, Any]:
    return {
        "task_id": str(task.id),
        "title": task.title,
        "notes": task.notes,
        "due_at": task.due_at.isoformat() if task.due_at else None,
        "completed": task.completed_at is not None,
    }
