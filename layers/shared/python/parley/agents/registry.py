"""Which agents this deployment offers. Looking does not import the Agents SDK.

To offer your own: write a module beside this one with a function `build()` that gives an
`agents.Agent`, and add a line to `OFFERED`. A function `context(turn)` in it makes the agent's own
context, once a turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from parley.errors import NotFound

if TYPE_CHECKING:
    from agents import Agent

    from parley.turns.context import TurnContext


@dataclass(frozen=True, slots=True)
class Offer:
    """An agent that a session can be held with.

    Attributes:
        description: What it is for, in a sentence for people.
        module: Where its `build()` is, and its `context()` if it has one.
    """

    description: str
    module: str


OFFERED: Mapping[str, Offer] = {
    "todo": Offer(
        "Keeps your tasks: adds, lists, changes and ticks them off.", "parley.agents.todo"
    ),
    "assistant": Offer("Answers questions; it has no tools.", "parley.agents.assistant"),
    "support": Offer(
        "Answers questions, and hands the session over to a person when that is needed.",
        "parley.agents.support",
    ),
}

DEFAULT = "todo"
"""The agent of a session that names none."""


@cache
def load(name: str) -> Agent[TurnContext]:
    """Build an agent, once a process.

    Raises:
        NotFound: No such agent is offered.
        Exception: Whatever building it raises.
    """
    if name not in OFFERED:
        raise NotFound("agent", name)
    agent: Agent[TurnContext] = import_module(OFFERED[name].module).build()
    return agent


def make_context(name: str, turn: TurnContext) -> Any:
    """Return what an agent's tools and instructions are given as their context in a turn.

    Returns:
        What the function `context` of the agent's module makes of the turn; the turn's own context
        if there is no such function.

    Raises:
        NotFound: No such agent is offered.
        Exception: Whatever making it raises.
    """
    if name not in OFFERED:
        raise NotFound("agent", name)
    make = getattr(import_module(OFFERED[name].module), "context", None)
    return turn if make is None else make(turn)
