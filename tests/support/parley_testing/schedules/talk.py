"""The agents of the random schedules and their model, which does what `plans` has them do."""

from __future__ import annotations

import asyncio
from itertools import count

from agents import Agent, function_tool

from parley.errors import InvalidField
from parley.failpoints import failpoint
from parley.runner.tools import effect_tool
from parley.turns.attempt import current_attempt
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import Asked, Gate, Items, Streamed, call
from parley_testing.models.steps import Called
from parley_testing.schedules import plans
from tasks_desk.agent import add_task

_rolls = count(1)
_answers = count(1)


@function_tool
def roll() -> str:
    """Roll the dice, somewhere else than in Postgres. It never gives the same twice."""
    return f"rolled {next(_rolls)}"


@effect_tool
def book(effect: Effect, title: str) -> str:
    """Book something that can be had once: who does it again is refused."""
    booked = effect.db.exec_driver_sql(
        "INSERT INTO tasks (id, user_id, title) SELECT gen_random_uuid(), %(user)s, %(title)s"
        " WHERE NOT EXISTS (SELECT FROM tasks WHERE user_id = %(user)s AND title = %(title)s)",
        {"user": effect.user_id, "title": title},
    )
    if not booked.rowcount:
        raise InvalidField("title", "is booked")
    return f"booked {title}"


@effect_tool(needs_approval=True)
def pay(effect: Effect, title: str) -> str:
    """Pay for something, if somebody approves. That it is done twice shows in the tasks."""
    effect.db.exec_driver_sql(
        "INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), %s, %s)",
        (effect.user_id, title),
    )
    return f"paid {title}"


_TOOLS = (add_task, book, roll, pay)
_HELPER = Agent[TurnContext](name="helper", model="helper", tools=[*_TOOLS])
_ASK_HELPER = _HELPER.as_tool("ask_helper", "Ask the helper.")
_CLOSER = Agent[TurnContext](name="closer", model="closer", tools=[*_TOOLS, _ASK_HELPER])

AGENT = Agent[TurnContext](name="todo", tools=[*_TOOLS, _ASK_HELPER], handoffs=[_CLOSER])
"""Who is asked first."""


class Breath(Gate):
    """The middle of what the model says: what it has said so far is written meanwhile."""

    async def wait(self) -> None:
        failpoint("in the middle of an answer")
        attempt = current_attempt()
        event_writer = attempt.event_writer if attempt is not None else None
        # Where only the last piece is told at all, it is told before this.
        for _ in range(500):
            if event_writer is None or not (
                event_writer._pending or event_writer._writing.locked()
            ):
                return
            await asyncio.sleep(0.001)


class ModelBroke(Exception):
    """The model fails, as the text has it."""


def text_of(asked: Asked) -> tuple[str, int]:
    """Return the text that the model answers, and the place of that text among the items."""
    place = max(n for n, item in enumerate(asked.input) if item.get("role") == "user")
    return str(asked.input[place]["content"]), place


def round_of(asked: Asked) -> int:
    """Tell which round of its text the model is asked for."""
    text, place = text_of(asked)
    outputs = sum("output" in item for item in asked.input[place:])
    for number, letters in enumerate(plans.rounds(text)):
        if outputs <= 0:
            return number
        outputs -= len(letters)
    return len(plans.rounds(text))


def answer(asked: Asked) -> Items | Streamed:
    """Answer as the model: the next round of calls, or the last word."""
    text, _ = text_of(asked)
    number = round_of(asked)
    if number < len(plans.rounds(text)):
        return _round(text, number)
    said = f"answer {next(_answers)}"
    if plans.fails(text):
        return Streamed(said, Breath(), ModelBroke())
    return Streamed(said, Breath(), " to ", text.split()[0])


def _round(text: str, number: int) -> Items | Streamed:
    made = _calls(text, number)
    said = plans.spoken(text, number)
    if said is None:
        return [item for each in made for item in call(each.name, each.call_id, **each.arguments)]
    half = len(said) // 2
    return Streamed(said[:half], Breath(), said[half:], calls=made)


def _calls(text: str, number: int) -> list[Called]:
    made = []
    for place, (name, told) in enumerate(plans.calls(text)[number]):
        key = "input" if name == "ask_helper" else "title"
        # The ids repeat from round to round and from turn to turn, as some servers have it.
        made.append(Called(name, {key: told} if told else {}, f"call_{place}"))
    return made
