"""A worker that makes a session's summary, and what may come of it."""

from __future__ import annotations

import asyncio
from uuid import UUID

from parley.errors import StoreUnavailable
from parley_testing.schedules.faults import NOTHING, Course, ProcessDied
from parley_testing.schedules.world import Process, World


def summarise(
    world: World,
    process: Process,
    session_id: UUID,
    *,
    course: Course = NOTHING,
    faulty: bool = False,
) -> str:
    """Make a session's next summary, and judge what comes of it.

    Returns:
        A word for what came of it.
    """
    summariser = process.bench.summariser

    async def made() -> bool | None:
        making = await summariser.take(session_id)
        return None if making is None else await summariser.make(making, seconds=30)

    lost = world.promises.summary_lost(session_id)
    asked = world.summary_calls
    try:
        outcome = process.run(made())
    except (ProcessDied, asyncio.CancelledError):
        assert course.dead, "a process ended without having died"
        return "died"
    except StoreUnavailable:
        assert faulty or course.dead, "no store had failed"
        return "unavailable"
    finally:
        if session_id in world.promises.gone:
            world.promises.late_calls += world.summary_calls - asked
    if course.dead:
        return "died"
    if outcome is False:
        assert faulty or course.thawed or lost, "a summary was not made, and nothing was wrong"
    return {True: "summarised", False: "not summarised", None: "nothing to summarise"}[outcome]


def let_go(world: World, session_id: UUID) -> None:
    """Let the lease of who makes a session's summary run out, or the pause after a failure."""
    world.change(
        "UPDATE sessions SET summarising_until = now() - interval '1 second'"
        " WHERE id = %s AND summarising_until IS NOT NULL",
        (session_id,),
    )
