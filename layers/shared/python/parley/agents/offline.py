"""The offline model: a small rule-based stand-in, so that everything runs without a model key.

It really calls the agent's tools, and finds "that task" in the conversation's memory like a real
model would. It says in every reply that it is the offline model.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

from agents import Model, ModelProvider, ModelResponse, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage

from parley.agents.answer_items import function_call, message
from parley.agents.offline_notes import notes_of
from parley.agents.offline_stream import streamed
from parley.runner.summary_prompt import INSTRUCTIONS, asked_in

NAME = "offline model"
MODEL = "offline"
HELP = (
    "I understand: add …, add … to that task, what do I have, find …, done …, delete …, help. "
    "For … you can also say “that task”."
)
STAND_IN = f"I am only Parley's stand-in without a model key. {HELP} Set OPENAI_API_KEY for more."
SUPPORT_STAND_IN = (
    "I am only Parley's stand-in without a model key. I understand: I want a human, escalate …."
)
NO_TOOLS = (
    "I am only Parley's stand-in without a model key; this agent needs a real model to answer."
)
_THAT = r"(?:that(?: task)?|it|this(?: task)?)"


class OfflineProvider(ModelProvider):
    """Gives the offline model, whatever model an agent names."""

    def __init__(self, words_per_second: float | None = None) -> None:
        self._words_per_second = words_per_second

    def get_model(self, model_name: str | None) -> Model:
        """Return the model."""
        return OfflineModel(self._words_per_second)


class OfflineModel(Model):
    """Answers by rules.

    Args:
        words_per_second: How fast it speaks when it streams; at once if None.
    """

    model = MODEL

    def __init__(self, words_per_second: float | None = None) -> None:
        self._words_per_second = words_per_second

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: Any,
        tools: Any,
        output_schema: Any,
        handoffs: Any,
        tracing: Any,
        *,
        previous_response_id: Any,
        conversation_id: Any,
        prompt: Any,
    ) -> ModelResponse:
        items = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
        said = max(place for place, item in enumerate(items) if item.get("role") == "user")
        names = {tool.name for tool in tools}
        answer: str | _Call
        if system_instructions == INSTRUCTIONS and (asked := asked_in(_text(items[said]))):
            return ModelResponse([notes_of(asked)], Usage(requests=1), response_id=None)
        if "add_task" in names:
            answer = _answer(_text(items[said]), items[:said], items[said + 1 :])
        elif "escalate" in names:
            answer = _support(_text(items[said]), items[said + 1 :])
        else:
            answer = NO_TOOLS
        return ModelResponse([_output(answer)], Usage(requests=1), response_id=None)

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Yield what `get_response` gives, word by word."""
        given = await self.get_response(*args, **kwargs)
        async for event in streamed(given, words_per_second=self._words_per_second):
            yield event


class _Call:
    """A tool call to make."""

    def __init__(self, name: str, **arguments: Any) -> None:
        self.name = name
        self.arguments = json.dumps(arguments)


def _answer(text: str, past: Sequence[Any], since: Sequence[Any]) -> str | _Call:
    """Take the next step: call a tool, or reply to what the last one gave."""
    command = " ".join(text.split()).rstrip(".!?")
    done = [(item["name"], item) for item in since if item.get("type") == "function_call"]
    given = [_json(item["output"]) for item in since if item.get("type") == "function_call_output"]
    if given:
        return _after(done[-1][0], given[-1], command)
    if match := re.fullmatch(rf"add (.+) to {_THAT}", command, re.I):
        task = _last_task(past)
        if task is None:
            return "I do not know which task you mean."
        notes = "\n".join(part for part in (task.get("notes"), match[1]) if part)
        return _Call("change_task", task_id=task["task_id"], title=None, notes=notes, due_at=None)
    if match := re.fullmatch(r"add (.+)", command, re.I):
        return _Call("add_task", title=match[1], notes=None, due_at=None)
    if re.fullmatch(r"(what do i have.*|list.*|show.*)", command, re.I):
        return _Call("list_tasks", completed=False)
    if match := re.fullmatch(
        r"(?:done|complete|finished|delete|remove)(?: with)? (.+)", command, re.I
    ):
        if not re.fullmatch(_THAT, match[1], re.I):
            return _Call("find_tasks", text=match[1])
        task = _last_task(past)
        return "I do not know which task you mean." if task is None else _act(command, task)
    if match := re.fullmatch(r"find (.+)", command, re.I):
        return _Call("find_tasks", text=match[1])
    return HELP if re.fullmatch("help", command, re.I) else STAND_IN


def _after(tool: str, given: Any, command: str) -> str | _Call:
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


def _pick(found: list[dict[str, Any]], command: str) -> str | _Call:
    """Act on the one task that a search found; ask if there are several."""
    deleting = _deletes(command)
    fitting = [task for task in found if deleting or not task["completed"]]
    if len(fitting) == 1:
        return _act(command, fitting[0])
    if not fitting:
        return "I find no such task."
    return "Which one?" + "".join(f"\n- {_line(task)}" for task in fitting)


def _act(command: str, task: dict[str, Any]) -> _Call:
    return _Call("delete_task" if _deletes(command) else "complete_task", task_id=task["task_id"])


def _deletes(command: str) -> bool:
    return re.match("(delete|remove) ", command, re.I) is not None


def _last_task(past: Sequence[Any]) -> dict[str, Any] | None:
    """Return the task that a tool showed last, if it showed just one."""
    for item in reversed(past):
        if item.get("type") != "function_call_output":
            continue
        given = _json(item["output"])
        if isinstance(given, list) and len(given) == 1:
            given = given[0]
        if isinstance(given, dict) and "task_id" in given:
            return given
    return None


def _json(output: Any) -> Any:
    try:
        return json.loads(output)
    except ValueError:
        return output


def _line(task: dict[str, Any]) -> str:
    notes = f" ({task['notes']})" if task.get("notes") else ""
    return f"{task['title']}{notes}" + (" — done" if task.get("completed") else "")


def _text(item: Any) -> str:
    content = item["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _support(text: str, since: Sequence[Any]) -> str | _Call:
    """Take the support agent's next step: escalate if that is wanted, and say so."""
    given = [item["output"] for item in since if item.get("type") == "function_call_output"]
    if given:
        return str(given[-1])
    command = " ".join(text.split())
    if match := re.fullmatch(r"escalate\W*(.*)", command, re.I):
        return _Call("escalate", reason=match[1] or "The user asked for it.")
    if re.search(r"\b(human|person)\b", command, re.I):
        return _Call("escalate", reason=command[:500])
    return SUPPORT_STAND_IN


def _output(answer: str | _Call) -> ResponseFunctionToolCall | ResponseOutputMessage:
    if isinstance(answer, _Call):
        return function_call(answer.name, answer.arguments, call_id=f"call_{uuid4().hex}")
    return message(f"[{NAME}] {answer}", id=f"msg_{uuid4().hex}")
