"""Memory: what the agent remembers of a session."""

from __future__ import annotations

from uuid import UUID

from parley_client.call import Call, below, nothing, shown_as
from parley_client.models import Memory, Pruned


def count_memory(session_id: UUID | str) -> Call[Memory]:
    """Count what the agent remembers."""
    return Call("GET", below("/sessions", session_id, "memory"), shown_as(Memory))


def clear_memory(session_id: UUID | str) -> Call[None]:
    """Make the agent forget; the transcript stays.

    It is not sent again when its answer is lost: the agent may have new things to remember.
    """
    return Call("DELETE", below("/sessions", session_id, "memory"), nothing, repeatable=False)


def prune_memory(session_id: UUID | str) -> Call[Pruned]:
    """Remove memory that is too old for the agent to be shown."""
    return Call("POST", below("/sessions", session_id, "memory", "prune"), shown_as(Pruned))
