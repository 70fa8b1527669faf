"""Who cancels a turn is killed at every point of it, and another fulfils the wish."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import pytest

from parley.errors import TurnFailed
from parley_testing.fault_outcome import Outcome, asked_again
from parley_testing.fault_scenarios import lines
from parley_testing.fault_stage import Play, Point, Stage, counted
from parley_testing.fork_server import Child

Way = Callable[[Play], Awaitable[object]]

NOTHING_DONE = ("after a model call", 1)
EFFECTS = ("after the commit of add_task", 2)


async def ending(play: Play) -> str:
    """Send the turn's key again and give how it ended."""
    try:
        return await play.send_again()
    except TurnFailed as failed:
        return failed.status


async def by_the_recovery(play: Play) -> None:
    await play.recover()


async def by_the_next_message(play: Play) -> None:
    await play.next_turn()


async def by_cancelling_again(play: Play) -> None:
    await play.cancel()


WAYS = (ending, by_the_recovery, by_the_next_message, by_cancelling_again)


@pytest.mark.parametrize("place", ["sqlite", "dynamodb"], indirect=True)
@pytest.mark.parametrize(
    ("standing", "ends"),
    [(NOTHING_DONE, "cancelled"), (EFFECTS, "cancelled"), ("finish", "reply")],
    ids=["nothing was done", "tools had effects", "it had finished"],
)
async def test_a_wish_to_cancel_outlives_who_had_it(
    new_stage: Callable[[str], Stage], standing: Point | str, ends: str
) -> None:
    stage = new_stage("tools")
    passed, _ = await stage.undisturbed()
    if standing == "finish":
        (standing,) = [each for each in passed if each[0].endswith("Store.finish")][1:]
    assert isinstance(standing, tuple)
    points, whole = await undisturbed(stage, standing)
    ends = stage.scenario.reply if ends == "reply" else ends

    # Killed before the first statement it has wished nothing yet.
    for place, point in enumerate(points[1:]):
        way = WAYS[place % len(WAYS)]
        where = (point, way.__name__)
        play, stopped = stop(stage, standing)
        assert play.start_cancelling(at=point).wait() == {"killed": signal.SIGKILL}, where

        await (way if play.expire() else ending)(play)

        assert await ending(play) == ends, where
        await play.next_turn()
        assert play.outcome() == whole, where
        assert asked_again(play.asked) == 0, where
        before = play.rows()
        stopped.go_on()
        assert stopped.wait() == {"exited": 0}, where
        assert play.rows() == before, where
        told = {"error": "TurnFailed"} if ends == "cancelled" else {"reply": ends}
        assert stopped.result() == told, where

    print(f"{standing}: {len(points) - 1} kills")


async def undisturbed(stage: Stage, standing: Point) -> tuple[list[Point], Outcome]:
    """Cancel undisturbed; give the points that were passed and what came of it."""
    play, stopped = stop(stage, standing)
    canceller = play.start_cancelling()
    assert canceller.wait() == {"exited": 0}
    late = standing[0].endswith("Store.finish")
    assert canceller.result() == {"outcome": "too_late" if late else "cancelled"}
    await play.next_turn()
    outcome = play.outcome()
    stopped.go_on()
    assert stopped.wait() == {"exited": 0}
    return counted(lines(canceller.points)), outcome


def stop(stage: Stage, at: Point) -> tuple[Play, Child]:
    play = stage.play()
    child = play.start(at=at, by=signal.SIGSTOP)
    assert child.wait() == {"stopped": signal.SIGSTOP}
    return play, child
