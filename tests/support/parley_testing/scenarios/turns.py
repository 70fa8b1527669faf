"""Turns to be broken, on a model that needs no memory of its own to say the same again.

A model answers by what it is shown, so that any process can ask it next. It is not helpful about
ids: it calls every first tool of a step `call_0`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import Agent, GuardrailFunctionOutput, input_guardrail

from parley.runner.tools import effect_tool
from parley.turns.context import Effect, TurnContext
from parley_testing.models.input import faults
from parley_testing.models.scripted import Asked, Items, Script, call, say
from parley_testing.models.steps import Called, Gate, Streamed
from tasks_desk import tasks
from tasks_desk.task_list import TaskFilter, list_tasks

NEXT = "and now?"

Step = Items | Streamed | Callable[[Path], Streamed]


@dataclass(frozen=True)
class Scenario:
    """A turn.

    Attributes:
        text: What the user says.
        steps: For each model by name, what it does when it is shown so many tool outputs; a
            function is given the file of what was asked.
        effects: The titles of the tasks that the turn makes.
        reply: What the turn ends with.
        agent: Makes the agent; None for the registry's own.
    """

    text: str
    steps: Mapping[str, Mapping[int, Step]]
    effects: tuple[str, ...]
    reply: str
    agent: Callable[[], Agent[TurnContext]] | None = None

    def script(self, asked_file: Path) -> Script:
        """Make the model; every question is kept in the file before it is answered."""

        def answer(asked: Asked) -> Items | Streamed:
            said = max(n for n, item in enumerate(asked.input) if item.get("role") == "user")
            text = asked.input[said]["content"]
            outputs = [item for item in asked.input[said:] if _is_output(item)]
            append(asked_file, f"{asked.model}/{text}/{len(outputs)}")
            if wrong := faults(asked.input):
                append(asked_file, f"malformed/{wrong}")
            if text.startswith(NEXT):
                return say("Nothing else.")
            step = self.steps[asked.model][len(outputs)]
            return step(asked_file) if callable(step) else step

        return answer


def append(file: Path, line: str) -> None:
    """Add a line that stays there if this process is killed, and that no other runs into."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def lines(file: Path) -> list[str]:
    """Read what was added."""
    return file.read_text().splitlines() if file.exists() else []


def _is_output(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "function_call_output"


TOOLS = Scenario(
    text="I need milk, bread and eggs",
    steps={
        "default": {
            0: call("add_task", "call_0", title="milk") + call("add_task", "call_1", title="bread"),
            2: call("add_task", "call_0", title="eggs"),
            3: say("Milk, bread and eggs."),
        }
    },
    effects=("bread", "eggs", "milk"),
    reply="Milk, bread and eggs.",
)
"""Two effect tools at once, then one more, then the reply."""


@effect_tool
def note(effect: Effect, title: str) -> str:
    """Note something."""
    tasks.add(effect.db, effect.user_id, title)
    return f"noted {title}"


def _front() -> Agent[TurnContext]:
    helper = Agent[TurnContext](name="helper", model="helper", tools=[note])
    closer = Agent[TurnContext](name="closer", model="closer", tools=[note])

    @input_guardrail(name="polite")
    def polite(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    return Agent(
        name="front",
        model="front",
        tools=[helper.as_tool("ask_helper", "Ask the helper.")],
        handoffs=[closer],
        input_guardrails=[polite],
    )


AGENTS = Scenario(
    text="help me, and close",
    steps={
        "front": {
            0: call("ask_helper", "call_0", input="note it"),
            1: call("transfer_to_closer", "call_0"),
        },
        "helper": {0: call("note", "call_0", title="helped"), 1: say("It is noted.")},
        "closer": {2: call("note", "call_0", title="closed"), 3: say("Helped and closed.")},
    },
    effects=("closed", "helped"),
    reply="Helped and closed.",
    agent=_front,
)
"""A guardrail, an agent used as a tool that has an effect, a handoff, and an effect after it."""


@effect_tool
def count_up(effect: Effect) -> str:
    """Count: reads how many there are, takes its time, and adds one. Two at once would collide."""
    known = list_tasks(effect.db, effect.user_id, TaskFilter(), limit=100).items
    effect.db.exec_driver_sql("SELECT pg_sleep(0.005)")
    tasks.add(effect.db, effect.user_id, f"{len(known) + 1}")
    return f"{len(known) + 1}"


def _counter() -> Agent[TurnContext]:
    return Agent(name="counter", model="counter", tools=[count_up])


COUNTING = Scenario(
    text="count",
    steps={"counter": {0: call("count_up", "call_0"), 1: say("Counted.")}},
    effects=("1",),
    reply="Counted.",
    agent=_counter,
)
"""One effect that tells whether another went through it."""


class _Breath(Gate):
    """A moment in which what was said so far may be told."""

    async def wait(self) -> None:
        await asyncio.sleep(0.01)


class _Silence(Gate):
    """What a model that says no more waits for; the file tells when nobody listens any more."""

    def __init__(self, asked: Path) -> None:
        super().__init__()
        self._asked = asked

    async def wait(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            append(self._asked, "left alone")


_BREATH = _Breath()


def _paced(*words: str, calls: list[Called] | None = None) -> Streamed:
    return Streamed(*(part for word in words for part in (word, _BREATH)), calls=calls)


def _add(title: str) -> list[Called]:
    return [Called("add_task", {"title": title})]


_BEFORE_THE_REPLY = {
    0: _paced("Let ", "me ", "see. ", calls=_add("milk")),
    1: _paced("And ", "one ", "more. ", calls=_add("bread")),
}

STREAMING = Scenario(
    text="I need milk and bread",
    steps={
        "default": {**_BEFORE_THE_REPLY, 2: _paced("Milk ", "and ", "bread ", "are ", "noted.")}
    },
    effects=("bread", "milk"),
    reply="Milk and bread are noted.",
)
"""Says something, has an effect, says something, has another, and replies, all in pieces."""

FALTERING = Scenario(
    text="I need milk and bread",
    steps={
        "default": {
            **_BEFORE_THE_REPLY,
            2: lambda asked: Streamed("Milk ", _BREATH, "and ", _Silence(asked)),
        }
    },
    effects=("bread", "milk"),
    reply="",
)
"""The same, but in the middle of the reply the model says no more."""


@effect_tool(needs_approval=True)
def pay(effect: Effect, title: str) -> str:
    """Pay for something, if that is approved."""
    tasks.add(effect.db, effect.user_id, title)
    return f"paid {title}"


def _payer() -> Agent[TurnContext]:
    helper = Agent[TurnContext](name="clerk", model="clerk", tools=[pay])
    return Agent(
        name="payer",
        model="payer",
        tools=[note, pay, helper.as_tool("ask_clerk", "Ask the clerk.")],
    )


ASKING = Scenario(
    text="pay for it all",
    steps={
        "payer": {
            0: call("note", "call_0", title="noted") + call("pay", "call_1", title="paid first"),
            2: call("ask_clerk", "call_0", input="pay the rest"),
            3: say("All is paid."),
        },
        "clerk": {0: call("pay", "call_0", title="paid later"), 1: say("It is paid.")},
    },
    effects=("noted", "paid first", "paid later"),
    reply="All is paid.",
    agent=_payer,
)
"""An effect beside one that waits to be approved, then another that waits inside an agent."""

SCENARIOS = {
    "asking": ASKING,
    "tools": TOOLS,
    "agents": AGENTS,
    "counting": COUNTING,
    "streaming": STREAMING,
    "faltering": FALTERING,
}
