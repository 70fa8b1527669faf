"""A turn to run, as a test describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from parley.testing.script import Script

if TYPE_CHECKING:
    from agents import Agent

    from parley.turns.context import TurnContext

Mode = Literal["wait", "stream", "background"]
"""How the message is sent: its reply waited for, streamed, or left to a worker."""

Decision = Literal["approve", "reject"]
Decides = Decision | Callable[[str, Any], Decision]
"""What a person decides on calls that need approval: the same on all, or by tool and arguments."""


@dataclass(frozen=True)
class Turn:
    """A message and what the model answers in its turn.

    Attributes:
        agent: Its name in the registry, the agent itself, or a function that gives it.
        context: Makes the agent's own context.
        session_id: The session that it is sent to; a new one if None.
        decides: What a person decides who may; nobody does, and the turn waits, if it is None.
    """

    agent: str | Agent[Any] | Callable[[], Agent[Any]]
    text: str
    model: Script
    user: str = "alice"
    mode: Mode = "wait"
    session_id: UUID | None = None
    context: Callable[[TurnContext], Any] | None = None
    decides: Decides | None = None
