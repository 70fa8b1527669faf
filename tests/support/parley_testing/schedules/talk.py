"""The agent of the random schedules: what it does follows from the user's words alone.

A text is a tag and the rounds of tool calls that it asks for: `m7 aa r` has two tasks added at
once and then the dice rolled; `m7 a !` has the model fail after one task was added.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from agents import Agent, function_tool

from parley.agents.todo import add_task
from parley.turns.context import TurnContext
from parley_testing.scripted_model import Asked, Items, call, say

PLANS = ("", "a", "aa", "r", "aa a", "a r a", "a !", "r !", "!")
"""What a message may ask for."""

Canonical = tuple[str, ...]
_rolls = count(1)


@function_tool
def roll() -> str:
    """Roll the dice, somewhere else than in Postgres. It never gives the same twice."""
    return f"rolled {next(_rolls)}"


AGENT = Agent[TurnContext](name="todo", tools=[add_task, roll])


class ModelBroke(Exception):
    """The model fails, as the text has it."""


def rounds(text: str) -> list[str]:
    """Give the rounds of tool calls that a text asks for."""
    return [word for word in text.split()[1:] if word != "!"]


def fails(text: str) -> bool:
    """Whether the model fails in the end."""
    return text.endswith("!")


def reply_to(text: str) -> str:
    """Give the answer to a text."""
    return f"answer to {text.split()[0]}"


def titles(text: str) -> list[str]:
    """Give the titles of the tasks that a text has added, in order."""
    return [
        _title(text, number, place)
        for number, letters in enumerate(rounds(text))
        for place, letter in enumerate(letters)
        if letter == "a"
    ]


def answer(asked: Asked) -> Items | Exception:
    """Answer as the model: the next round of calls, or the last word."""
    said = [place for place, item in enumerate(asked.input) if item.get("role") == "user"]
    text = str(asked.input[said[-1]]["content"])
    outputs = sum("output" in item for item in asked.input[said[-1] :])
    for number, letters in enumerate(rounds(text)):
        if outputs <= 0:
            return _calls(text, number)
        outputs -= len(letters)
    return ModelBroke() if fails(text) else say(reply_to(text))


def _calls(text: str, number: int) -> Items:
    calls: Items = []
    for place, letter in enumerate(rounds(text)[number]):
        # The ids repeat from round to round and from turn to turn, as some servers have it.
        call_id = f"call_{place}"
        if letter == "a":
            calls += call("add_task", call_id, title=_title(text, number, place))
        else:
            calls += call("roll", call_id)
    return calls


def _title(text: str, number: int, place: int) -> str:
    return f"{text.split()[0]}/{number}.{place}"


def canonical(items: Iterable[Mapping[str, Any]]) -> list[Canonical]:
    """Reduce the SDK's items to what they say: ids differ from run to run."""
    return [_canonical(item) for item in items if item.get("type") != "reasoning"]


def _canonical(item: Mapping[str, Any]) -> Canonical:
    kind = item.get("type", "message")
    if kind == "function_call":
        return "call", item["name"], str(json.loads(item["arguments"]).get("title", ""))
    if kind == "function_call_output":
        return "output", _told(item["output"])
    content = item["content"]
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    return item["role"], content


def told_rounds(text: str, rolled: Iterable[str], many: int | None = None) -> list[Canonical]:
    """Give what memory holds of the first rounds of a text; all of them if `many` is None."""
    items: list[Canonical] = []
    dice = iter(rolled)
    for number, letters in enumerate(rounds(text)[:many]):
        names = [_title(text, number, place) for place in range(len(letters))]
        pairs = list(zip(letters, names, strict=True))
        items += [("call", "add_task", n) if x == "a" else ("call", "roll", "") for x, n in pairs]
        items += [("output", n if x == "a" else next(dice, "?")) for x, n in pairs]
    return items


def _told(output: Any) -> str:
    if isinstance(output, str) and output.startswith("{"):
        return str(json.loads(output)["title"])
    return str(output)
