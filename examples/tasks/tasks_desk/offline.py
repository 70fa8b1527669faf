"""What the offline model says and does in the place of a model: rules about tasks.

It finds "that task" in the conversation's memory like a real model would.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from parley.stand_in import Asked, ToolCall

HELP = (
    "I understand: add …, add … to that task, what do I have, find …, done …, delete …, help. "
    "For … you can also say “that task”."
)
STAND_IN = f"I am only Parley's stand-in without a model key. {HELP} Set OPENAI_API_KEY for more."
_THAT = r"(?:that(?: task)?|it|this(?: task)?)"


def answer(asked: Asked) -> str | ToolCall | None:
    """Take the next step: call a tool, or reply to what the last one gave."""
    if "add_task" not in asked.tools:
        return None
    past = asked.past
    command = " ".join(asked.text.split()).rstrip(".!?")
    if asked.done:
        return _after(*asked.done[-1], command)
    if match := re.fullmatch(rf"add (.+) to {_THAT}", command, re.I):
        task = _last_task(past)
        if task is None:
            return "I do not know which task you mean."
        notes = "\n".join(part for part in (task.get("notes"), match[1]) if part)
        return ToolCall(
            "change_task",
            {"task_id": task["task_id"], "title": None, "notes": notes, "due_at": None},
        )
    if match := re.fullmatch(r"add (.+)", command, re.I):
        return ToolCall("add_task", {"title": match[1], "notes": None, "due_at": None})
    if re.fullmatch(r"(what do i have.*|list.*|show.*)", command, re.I):
        return ToolCall("list_tasks", {"completed": False})
    if match := re.fullmatch(
        r"(?:done|complete|finished|delete|remove)(?: with)? (.+)", command, re.I
    ):
        if not re.fullmatch(_THAT, match[1], re.I):
            return ToolCall("find_tasks", {"text": match[1]})
        task = _last_task(past)
        return "I do not know which task you mean." if task is None else _act(command, task)
    if match := re.fullmatch(r"find (.+)", command, re.I):
        return ToolCall("find_tasks", {"text": match[1]})
    return HELP if re.fullmatch("help", command, re.I) else STAND_IN


def _after(tool: str, given: Any, command: str) -> str | ToolCall:
    """Reply to a tool's output, or act on the task that it found."""
    if isinstance(given, str):
        return given  # the tool's own words for what went wrong
    if tool == "find_tasks" and not re.match("find ", command, re.I):
        return _pick(_tasks(given), command)
    if tool in ("find_tasks", "list_tasks"):
        tasks = _tasks(given)
        lines = "".join(f"\n- {_line(task)}" for task in tasks)
        note = f"\n{given['note']}" if isinstance(given, dict) else ""
        return (f"You have:{lines}" if tasks else "There is nothing.") + note
    if tool == "add_task":
        return f"Added “{given['title']}”."
    if tool == "complete_task":
        return f"Done: “{given['title']}”."
    if tool == "delete_task":
        return f"Deleted “{given['deleted']['title']}”."
    return f"Changed “{_line(given)}”."


def _tasks(given: Any) -> list[dict[str, Any]]:
    """Return the tasks of a list, of which there may be more than it has."""
    tasks: list[dict[str, Any]] = given["tasks"] if isinstance(given, dict) else given
    return tasks


def _pick(found: list[dict[str, Any]], command: str) -> str | ToolCall:
    """Act on the one task that a search found; ask if there are several."""
    deleting = _deletes(command)
    fitting = [task for task in found if deleting or not task["completed"]]
    if len(fitting) == 1:
        return _act(command, fitting[0])
    if not fitting:
        return "I find no such task."
    return "Which one?" + "".join(f"\n- {_line(task)}" for task in fitting)


def _act(command: str, task: dict[str, Any]) -> ToolCall:
    return ToolCall(
        "delete_task" if _deletes(command) else "complete_task", {"task_id": task["task_id"]}
    )


def _deletes(command: str) -> bool:
    return re.match("(delete|remove) ", command, re.I) is not None


def _last_task(past: Sequence[Any]) -> dict[str, Any] | None:
    """Return the task that a tool showed last, if it showed just one."""
    for given in reversed(past):
        if isinstance(given, list) and len(given) == 1:
            given = given[0]
        if isinstance(given, dict) and "task_id" in given:
            return given
    return None


def _line(task: dict[str, Any]) -> str:
    notes = f" ({task['notes']})" if task.get("notes") else ""
    return f"{task['title']}{notes}" + (" — done" if task.get("completed") else "")
