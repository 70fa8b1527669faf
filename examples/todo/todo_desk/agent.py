"""The agent, and the tools that it has."""

from __future__ import annotations

from typing import Any

from agents import Agent
from sqlalchemy import text

from parley import Effect, TurnContext, effect_tool, read_tool
from parley.http import InvalidField, LimitReached

TASKS_MAX = 1_000
"""How many tasks one user may have: more than a person has, and fewer than a loop makes."""
TITLE_MAX_CHARS = 500
LISTED_MAX = 100
"""How many of them the model is shown."""

INSTRUCTIONS = """\
You keep the user's tasks. Use your tools, and answer briefly, in the user's language.
Never say that a task was added unless a tool has said so."""


@effect_tool
def add_task(effect: Effect, title: str) -> str:
    """Add a task.

    Args:
        title: What there is to do, in a few words.
    """
    if len(title) > TITLE_MAX_CHARS:
        raise InvalidField("title", f"has more than {TITLE_MAX_CHARS} characters")
    effect.alone()  # what is counted is whole: nobody else adds tasks of the user's meanwhile
    # Committed together with the tool's recorded answer: it is added once, whatever dies meanwhile.
    added = effect.db.execute(
        text(
            "INSERT INTO todo_desk_tasks (user_id, title) SELECT :user_id, :title"
            " WHERE (SELECT count(*) FROM todo_desk_tasks WHERE user_id = :user_id) < :most"
        ),
        {"user_id": effect.user_id, "title": title, "most": TASKS_MAX},
    )
    if added.rowcount == 0:
        raise LimitReached("max_tasks", TASKS_MAX)  # the model is told so
    return f"Added “{title}”."


@read_tool
def list_tasks(effect: Effect) -> list[dict[str, Any]]:
    """List what there is to do, the oldest task first; a hundred at most."""
    rows = effect.db.execute(
        text(
            "SELECT title FROM todo_desk_tasks WHERE user_id = :user_id ORDER BY id LIMIT :listed"
        ),
        {"user_id": effect.user_id, "listed": LISTED_MAX},
    )
    return [{"title": row.title} for row in rows]


def build() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent(name="todo", instructions=INSTRUCTIONS, tools=[add_task, list_tasks])
