"""The agent, and the tools that it has."""

from __future__ import annotations

from typing import Any

from agents import Agent
from sqlalchemy import text

from parley import Effect, TurnContext, effect_tool, read_tool

INSTRUCTIONS = """\
You keep the user's tasks. Use your tools, and answer briefly, in the user's language.
Never say that a task was added unless a tool has said so."""


@effect_tool
def add_task(effect: Effect, title: str) -> str:
    """Add a task.

    Args:
        title: What there is to do, in a few words.
    """
    # Committed together with the tool's recorded answer: it is added once, whatever dies meanwhile.
    effect.db.execute(
        text("INSERT INTO my_desk_tasks (user_id, title) VALUES (:user_id, :title)"),
        {"user_id": effect.user_id, "title": title},
    )
    return f"Added “{title}”."


@read_tool
def list_tasks(effect: Effect) -> list[dict[str, Any]]:
    """List what there is to do, the oldest task first."""
    rows = effect.db.execute(
        text("SELECT title FROM my_desk_tasks WHERE user_id = :user_id ORDER BY id"),
        {"user_id": effect.user_id},
    )
    return [{"title": row.title} for row in rows]


def build() -> Agent[TurnContext]:
    """Give the agent."""
    return Agent(name="todo", instructions=INSTRUCTIONS, tools=[add_task, list_tasks])
