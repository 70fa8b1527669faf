"""The agents, and the tool with which they hand a conversation over to a person."""

from __future__ import annotations

from agents import Agent

import parley
from parley import Effect, TurnContext, effect_tool
from support_desk.refunds import refund

INSTRUCTIONS = """\
You answer the user's questions. Answer briefly, and never make anything up.
Call escalate if the user asks for a person, if they are upset, or if you cannot help them. After
that you get no further message until a person has looked at the conversation, so then only say
that somebody will."""

REFUNDS = """
Call refund if something that the user has ordered is wrong or broken, once you know the order's
number and the amount. Say that it was refunded only if the tool says so."""


@effect_tool
def escalate(effect: Effect, reason: str) -> str:
    """Hand the conversation over to a person.

    Args:
        reason: What the person has to know, in a sentence or two.
    """
    parley.escalate(effect, reason)
    return "A person will look at the conversation."


def build() -> Agent[TurnContext]:
    """Return the agent, which refunds as well."""
    return Agent(name="support", instructions=INSTRUCTIONS + REFUNDS, tools=[escalate, refund])


def answering() -> Agent[TurnContext]:
    """Return one that needs no table, for a deployment that has none of refunds."""
    return Agent(name="support", instructions=INSTRUCTIONS, tools=[escalate])
