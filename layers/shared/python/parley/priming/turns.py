"""A turn of nobody's, for priming: a tiny agent with two tools. Importing this imports the SDK."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agents import Agent, function_tool
from sqlalchemy import text

from parley.agents.provider import rehearsed_provider
from parley.composition import Composition
from parley.once import made_once
from parley.priming.asked import SECONDS
from parley.priming.model import transport
from parley.priming.rows import NOBODY
from parley.runner.agent_run import AgentRunner
from parley.runner.tools import effect_tool
from parley.turns.budget import TurnBudget
from parley.turns.context import Effect, TurnContext

if TYPE_CHECKING:
    from parley.events.log import EventLog
    from parley.memory.store import AgentSessionStore
    from parley.repository.database import Database
    from parley.runner.execute import TurnExecutor
    from parley.wake_queue import SqsWakeQueue


@function_tool
def look(number: int) -> str:
    """Look."""
    return str(number)


@effect_tool
def change(effect: Effect) -> str:
    """Change."""
    effect.db.execute(text("SELECT 1"))
    return "changed"


def agent() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent[TurnContext](name=NOBODY, instructions="Prime.", tools=[look, change])


@dataclass(frozen=True)
class RehearsedParts(Composition):
    """The parts that carry a turn of nobody's out, on the process's own ways to its stores.

    What keeps something of a turn in memory, as what a call has cost or who follows it, is made
    anew. It has no budget of its own: the deployment's may be too small for two calls.

    Attributes:
        of: The process's parts.
    """

    of: Composition

    @made_once
    def database(self) -> Database:
        """The process's."""
        return self.of.database

    @made_once
    def store(self) -> AgentSessionStore:
        """The process's."""
        return self.of.store

    @made_once
    def events(self) -> EventLog:
        """The process's."""
        return self.of.events

    @made_once
    def wake_queue(self) -> SqsWakeQueue:
        """The process's."""
        return self.of.wake_queue

    @made_once
    def executor(self) -> TurnExecutor:
        """Carries out the turn."""
        made: TurnExecutor = super().executor
        provider = rehearsed_provider(self.settings, transport())
        tiny = agent()
        return replace(
            made,
            load_agent=lambda _: tiny,
            make_context=lambda _, turn: turn,
            runner=AgentRunner(lambda _: provider),
            limits=replace(made.limits, turn_seconds=SECONDS, budget=TurnBudget()),
            summarised=(),
        )
