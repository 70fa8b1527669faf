"""The support agent: answers questions, and hands a session over to a person."""

from __future__ import annotations

from agents import Agent

from parley.repository import escalation
from parley.runner.tools import effect_tool
from parley.turns.context import Effect, TurnContext

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
    escalation.escalate(effect.db, effect.session_id, reason)
    return "A person will look at the conversation."


def build() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent(name="support", instructions=INSTRUCTIONS, tools=[escalate])
