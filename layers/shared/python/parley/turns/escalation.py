"""What a tool does to hand its conversation over to a person."""

from __future__ import annotations

from parley.repository import escalation
from parley.turns.context import Effect


def escalate(effect: Effect, reason: str) -> None:
    """Set the session of a turn to `escalated`, in the transaction of the tool that asks for it.

    The turn goes on to its reply; after it the session takes no message until a person has set it
    back to `active`.

    Args:
        effect: What the tool is given.
        reason: What the person has to know, at most 1,000 characters.

    Raises:
        InvalidField: The reason is empty or too long; the model is told so.
    """
    escalation.escalate(effect.db, effect.session_id, reason)
