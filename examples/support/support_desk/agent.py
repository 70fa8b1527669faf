"""The agent, and the tool with which it hands a conversation over to a person."""

from __future__ import annotations

from agents import Agent

import parley
from parley import Effect, TurnContext, effect_tool

INSTRUCTIONS = """\
You answer the user's questions. Answer briefly, and never make anything up.
Call escalate if the user asks for a person, if they are upset, or if you cannot help them. After
that you get no further message until a person has looked at the conversation, so then only say
that somebody will."""


@effect_tool
def escalate(effect: Effect, reason: str) -> str:
    """Hand the conversation over to a person.

    Args:
        reason: What the person has to know, in a sentence or two.
    """
    parley.escalate(effect, reason)
    return "A person will look at the conversation."


def build() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent(name="support", instructions=INSTRUCTIONS, tools=[escalate])
