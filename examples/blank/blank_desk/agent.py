"""The agent."""

from __future__ import annotations

from agents import Agent

from parley import TurnContext


def build() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent(name="assistant", instructions="Answer the user's questions, briefly.")
