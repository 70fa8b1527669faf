"""The todo agent of the examples, as one writes it without Parley: the same words, the same tools.

What the tools do with a task is the peer's own: it gives a `Tasks` as the run's context.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from agents import Agent, RunContextWrapper, function_tool

INSTRUCTIONS = """\
You keep the user's tasks. Use the tools for everything about tasks; never make up a task or an id.
If it is not clear which task is meant, find it first, and ask if several fit.
Answer in a sentence or two. Do not show ids."""

Task = dict[str, Any]


class Tasks(Protocol):
    """A user's tasks."""

    async def add(self, title: str, notes: str | None, due_at: datetime | None) -> Task: ...
    async def all(self, completed: bool | None, text: str | None) -> list[Task]: ...
    async def change(self, task_id: UUID, changes: dict[str, Any]) -> Task: ...
    async def remove(self, task_id: UUID) -> Task: ...


Run = RunContextWrapper[Tasks]


@function_tool
async def add_task(
    run: Run, title: str, notes: str | None = None, due_at: datetime | None = None
) -> Task:
    """Add a task.

    Args:
        title: What is to be done.
        notes: More about it.
        due_at: When it has to be done, as an RFC 3339 time.
    """
    return await run.context.add(title, notes, due_at)


@function_tool
async def list_tasks(run: Run, completed: bool | None = None) -> list[Task]:
    """List the user's tasks, oldest first.

    Args:
        completed: True for those done only, false for those still to do, null for all.
    """
    return await run.context.all(completed, None)


@function_tool
async def find_tasks(run: Run, text: str) -> list[Task]:
    """Find tasks that have a text in their title or notes.

    Args:
        text: What to look for, at most 100 characters; upper and lower case are the same.
    """
    return await run.context.all(None, text)


@function_tool
async def change_task(
    run: Run,
    task_id: UUID,
    title: str | None = None,
    notes: str | None = None,
    due_at: datetime | None = None,
) -> Task:
    """Change a task; what is null stays as it is.

    Args:
        task_id: The task's id, as a tool gave it.
        title: What is to be done.
        notes: More about it.
        due_at: When it has to be done, as an RFC 3339 time.
    """
    given = {"title": title, "notes": notes, "due_at": due_at}
    return await run.context.change(
        task_id, {field: value for field, value in given.items() if value is not None}
    )


@function_tool
async def complete_task(run: Run, task_id: UUID) -> Task:
    """Tick a task off as done.

    Args:
        task_id: The task's id, as a tool gave it.
    """
    return await run.context.change(task_id, {"completed": True})


@function_tool
async def delete_task(run: Run, task_id: UUID) -> Task:
    """Delete a task for good.

    Args:
        task_id: The task's id, as a tool gave it.
    """
    return await run.context.remove(task_id)


agent = Agent[Tasks](
    name="todo",
    instructions=INSTRUCTIONS,
    tools=[add_task, list_tasks, find_tasks, change_task, complete_task, delete_task],
)
