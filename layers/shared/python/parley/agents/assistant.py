"""The assistant: answers from what it knows and remembers."""

from __future__ import annotations

from agents import Agent

from parley.turns.context import TurnContext


def build() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent(
        name="assistant",
        instructions="You are a helpful assistant. Answer briefly and say so if you do not know.",
    )
