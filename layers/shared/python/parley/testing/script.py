"""What a test has a model say: an answer by where the call stands in its turn.

The place is the same in every attempt, so that any process may ask a scripted model next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic_core import to_json

from parley.errors import ParleyError


@dataclass(frozen=True)
class Says:
    """The model says something."""

    text: str


@dataclass(frozen=True)
class Calls:
    """The model calls a tool, or hands off.

    Attributes:
        inside: The answers to the model calls that are made while the tool runs: those of an agent
            that is used as a tool.
    """

    name: str
    arguments: dict[str, Any]
    inside: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Fails:
    """The model call raises an error."""

    error: Exception


Step: TypeAlias = "Says | Calls | Fails | Sequence[Says | Calls]"
"""One answer of a model; a sequence is what it says and calls at once."""


@dataclass(frozen=True)
class Asked:
    """One call of a model.

    Attributes:
        place: Where it stands in its turn: `0`, `1`, … in the order of the turn's own model calls;
            inside a tool call, the call's id and a slash before it.
        model: The model's name as the agent gives it; empty if it gives none.
        instructions: The agent's instructions as they are sent.
        input: The items that are sent.
        tools: The names of the tools and handoffs that the model may call.
    """

    place: str
    model: str
    instructions: str | None
    input: list[dict[str, Any]] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)


Script: TypeAlias = Sequence[Step] | Callable[[Asked], Step]
"""A turn's answers in their order, or a function that gives one for each call.

Such a function must answer by what it is asked only: the next call may be another process's.
"""


class ScriptEnded(ParleyError, AssertionError):
    """A model was asked more often than the test has answers for; the message says where."""


def says(text: Any) -> Says:
    """Return an answer that says something.

    Args:
        text: What; the JSON of it if it is no text, as of an agent with an output type. A type that
            is neither a Pydantic model nor a dictionary is wrapped by the SDK, and its model says
            `{"response": …}`.
    """
    return Says(text if isinstance(text, str) else to_json(text).decode())


def calls(tool: str, /, *, inside: Sequence[Step] = (), **arguments: Any) -> Calls:
    """Return an answer that calls a tool.

    Args:
        tool: Its name. A handoff's is `transfer_to_` and the agent's name in lower case.
        inside: The answers to the model calls that the tool makes, if it is an agent.
        arguments: The tool's.
    """
    return Calls(tool, arguments, tuple(inside))


def fails(error: Exception) -> Fails:
    """Return an answer that is none: the model call raises this error."""
    return Fails(error)


def call_id(turn: int, place: str, number: int) -> str:
    """Return the id of a scripted call: unique in its conversation and the same in each attempt."""
    whole = place.rpartition("/")[0].rpartition("/")[2] or f"call_{turn}"
    return f"{whole}_{place.rpartition('/')[2]}.{number}"


def answer(script: Script, asked: Asked) -> Sequence[Says | Calls] | Fails:
    """Return what a script answers.

    Raises:
        ScriptEnded: It has no answer for this call.
    """
    step = script(asked) if callable(script) else _at(script, asked.place)
    return [step] if isinstance(step, Says | Calls) else step


def _at(script: Sequence[Step], place: str) -> Step:
    *path, last = place.split("/")
    steps = script
    for part in path:
        steps = _inside(steps, part, place)
    if int(last) >= len(steps):
        raise ScriptEnded(
            f"The model was asked for answer {int(last) + 1} at {place}, and the test has"
            f" {len(steps)} there."
        )
    return steps[int(last)]


def _inside(steps: Sequence[Step], part: str, place: str) -> Sequence[Step]:
    index, dot, number = part.rpartition("_")[2].partition(".")
    if not (dot and index.isdigit() and number.isdigit() and int(index) < len(steps)):
        raise ScriptEnded(
            f"The model was asked at {place}, in a run of its own; give `model` a function that"
            " answers by what is asked."
        )
    step = steps[int(index)]
    called = [one for one in (step if isinstance(step, Sequence) else [step]) if _is_call(one)]
    found = called[int(number)] if int(number) < len(called) else None
    return found.inside if isinstance(found, Calls) else ()


def _is_call(step: object) -> bool:
    return isinstance(step, Calls)
