"""Talking until there is something to summarise, and taking the making of it."""

from __future__ import annotations

from uuid import UUID

from parley.runner.summaries import Making
from parley_testing.workbench import Workbench


async def talk(bench: Workbench, session_id: UUID, first: int, last: int) -> None:
    """Send so many messages, each with a fact of its own."""
    for number in range(first, last + 1):
        await bench.send(session_id, f"turn {number}: fact-{number}")


async def talked(bench: Workbench, turns: int) -> UUID:
    """Make a session of so many turns."""
    session_id = bench.new_session()
    await talk(bench, session_id, 1, turns)
    return session_id


async def taken(bench: Workbench, session_id: UUID) -> Making:
    """Take the making of the summary that is due."""
    making = await bench.summariser.take(session_id)
    assert making is not None
    return making
