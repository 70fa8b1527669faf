"""Instructions that a function gives: taken only if they are text.

The SDK hands on to the model whatever it is given; from a function that returns nothing, no
instructions at all. Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from agents import Agent

from parley.runner.agent_graph import UnsupportedAgent


def check_instructions(agent: Agent[Any]) -> None:
    """Have a function of an agent's that gives its instructions give text, in place."""
    give = agent.instructions
    if not callable(give) or getattr(give, "checks", False):
        return

    @functools.wraps(give)
    async def checked(*asked: Any) -> str:
        given: Any = give(*asked)
        if inspect.isawaitable(given):
            given = await given
        if not isinstance(given, str):
            what = "nothing" if given is None else type(given).__name__
            raise UnsupportedAgent(
                f"The instructions of the agent {agent.name} gave {what}; they must give text."
            )
        return given

    checked.checks = True  # type: ignore[attr-defined]
    agent.instructions = checked
