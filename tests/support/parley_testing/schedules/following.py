"""Turns that are followed or queued, and workers that wake-ups call: see `actions`."""

from __future__ import annotations

import asyncio
from uuid import UUID

from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.repository.turns import RunningTurn, TurnRequest
from parley_testing.schedules.actions import Actions
from parley_testing.schedules.faults import NOTHING, Course, ProcessDied
from parley_testing.schedules.wakeups import Wakeup
from parley_testing.schedules.world import Process, World


def stream(
    actions: Actions,
    process: Process,
    sent: TurnRequest,
    *,
    enqueue: bool = False,
    course: Course = NOTHING,
    faulty: bool = False,
    seconds: float = 30,
) -> str:
    """Send a message whose turn is followed, and carry it out if that falls to the process."""

    async def opened() -> str:
        turn = await process.sender.open(sent, seconds=seconds, enqueue=enqueue)
        if turn.work is None:
            return "opened"
        try:
            view = await turn.work
        except (Fenced, TurnUnfinished, StoreUnavailable) as error:
            return _let_go(actions.world, error, course=course, faulty=faulty, seconds=seconds)
        assert view.turn.id == turn.turn_id, "another turn was carried out"
        if view.turn.status == "waiting":
            return "paused"
        assert view.turn.ended_at is not None, "a turn was carried out and is not over"
        return "streamed"

    try:
        outcome = process.run(opened())
    except (ProcessDied, asyncio.CancelledError):
        assert course.dead, "a process ended without having died"
        return "died"
    except Exception as error:
        if course.dead:
            return "died"
        actions.world.look()
        actions.refused(sent, error, faulty=faulty, thawed=course.thawed)
        return type(error).__name__
    return "died" if course.dead else outcome


def queue(
    actions: Actions,
    process: Process,
    sent: TurnRequest,
    *,
    enqueue: bool = False,
    course: Course = NOTHING,
    faulty: bool = False,
) -> str:
    """Leave a message to a worker."""
    earlier = actions.earlier(sent)
    try:
        queued = process.run(process.sender.queue(sent, enqueue=enqueue))
    except (ProcessDied, asyncio.CancelledError):
        assert course.dead, "a process ended without having died"
        return "died"
    except Exception as error:
        if course.dead:
            return "died"
        actions.world.look()
        actions.refused(sent, error, faulty=faulty, thawed=course.thawed)
        return type(error).__name__
    actions.world.look()
    turn = actions.promises.seen.turn(queued.view.turn.id)
    assert turn is not None or queued.view.turn.session_id in actions.promises.gone, "no turn"
    assert turn is None or turn.text == sent.text, "another turn was accepted"
    if earlier is not None:
        assert queued.view.turn.id == earlier.id, "the same key gave another turn"
        assert queued.replayed, "an earlier turn was given as new"
    return "accepted before" if queued.replayed else "accepted"


def answer(
    actions: Actions,
    process: Process,
    wakeup: Wakeup,
    *,
    course: Course = NOTHING,
    faulty: bool = False,
    seconds: float = 30,
) -> str:
    """Answer a wake-up as the worker does."""

    async def worked() -> str:
        try:
            turn = await process.session_worker.claim(wakeup.session_id)
        except StoreUnavailable:
            assert faulty, "no store had failed"
            actions.world.wakeups.put_back(wakeup)
            return "put back"
        if turn is None:
            return await _summarised()
        try:
            await process.session_worker.execute(turn, seconds=seconds)
        except (Fenced, TurnUnfinished, StoreUnavailable) as error:
            return _let_go(actions.world, error, course=course, faulty=faulty, seconds=seconds)
        return "worked"

    async def _summarised() -> str:
        try:
            making = await process.bench.summariser.take(wakeup.session_id)
            if making is not None:
                await process.bench.summariser.make(making, seconds=seconds)
        except StoreUnavailable:
            assert faulty, "no store had failed"
            actions.world.wakeups.put_back(wakeup)
            return "put back"
        return "nothing to do"

    try:
        return process.run(worked())
    except (ProcessDied, asyncio.CancelledError):
        assert course.dead, "a process ended without having died"
        actions.world.wakeups.put_back(wakeup)  # its visibility time-out is over some time
        return "died"


def work_off(actions: Actions, process: Process, session_id: UUID) -> None:
    """Answer a session's wake-ups until a worker finds nothing to do there."""
    outcomes = ["worked"]
    while "worked" in outcomes:
        wakeups = actions.world.wakeups.take_all(session_id)
        outcomes = [answer(actions, process, wakeup) for wakeup in wakeups]


def _let_go(world: World, error: Exception, *, course: Course, faulty: bool, seconds: float) -> str:
    alone = not (course.thawed or faulty or seconds < 1 or world.restored)
    assert not alone or world.stood_still(error), f"a turn was let go of: {error}"
    return type(error).__name__


def claim_and_die(actions: Actions, process: Process, session_id: UUID) -> RunningTurn | None:
    """Have a worker claim what is first on a session, and die at once."""
    claim = process.bench.turns.claim_head(session_id)
    if claim.turn is not None:
        actions.world.held.append(claim.turn)
        actions.world.writers.logged.add(claim.turn.id)
        actions.world.unheard.add(session_id)
    return claim.turn
