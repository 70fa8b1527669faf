"""The floor: the SDK's Runner with memory in a list, and nothing around it.

Whatever this takes, the SDK, its client and the model take of every backend.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from agents import Runner, set_tracing_disabled
from bench.conversation import items
from bench.peers.agent import Task, agent
from bench.sides import Taken, serve, timed


class TaskList:
    """Tasks in a list."""

    def __init__(self) -> None:
        self._tasks: dict[UUID, Task] = {}

    async def add(self, title: str, notes: str | None, due_at: datetime | None) -> Task:
        task_id = uuid4()
        task = {"task_id": str(task_id), "title": title, "notes": notes, "completed": False}
        self._tasks[task_id] = task
        return task

    async def all(self, completed: bool | None, text: str | None) -> list[Task]:
        return list(self._tasks.values())

    async def change(self, task_id: UUID, changes: dict[str, Any]) -> Task:
        self._tasks[task_id] |= changes
        return self._tasks[task_id]

    async def remove(self, task_id: UUID) -> Task:
        return self._tasks.pop(task_id)


class BareRunner:
    """Holds conversations in the process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._said: dict[str, list[Any]] = {}
        self._tasks = TaskList()

    def prepare(self) -> None:
        """Have nothing to prepare."""

    def fill(self, user: str, turns: int) -> str:
        """Make a conversation that has some turns, and return its id."""
        session_id = str(uuid4())
        self._said[session_id] = items(turns)
        return session_id

    def turn(self, times: int, user: str, session_id: str, text: str) -> Taken:
        """Run the agent."""
        return timed(lambda: self._loop.run_until_complete(self._run(session_id, text)), times)

    async def _run(self, session_id: str, text: str) -> None:
        said = [*self._said[session_id], {"role": "user", "content": text}]
        result = await Runner.run(agent, said, context=self._tasks)
        self._said[session_id] = result.to_input_list()


if __name__ == "__main__":
    set_tracing_disabled(True)
    serve(BareRunner())
