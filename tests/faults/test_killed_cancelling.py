"""Who cancels a turn is killed at every point of it, and another fulfils the wish."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import pytest

from parley.errors import TurnFailed
from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.outcome import Outcome, asked_again
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup, counted
from parley_testing.scenarios.turns import lines
from parley_testing.scenarios.where_to_kill import Scene, kills

Way = Callable[[ScenarioRun], Awaitable[object]]

NOTHING_DONE = ("after a model call", 1)
EFFECTS = ("after the commit of add_task", 2)
FINISHED = ("after SqliteStore.finish", 1)
FINISHED_IN_DYNAMODB = ("after DynamoDbStore.finish", 1)


async def ending(played: ScenarioRun) -> str:
    """Send the turn's key again and give how it ended."""
    try:
        return await played.send_again()
    except TurnFailed as failed:
        return failed.status


async def by_the_recovery(played: ScenarioRun) -> None:
    await played.recover()


async def by_the_next_message(played: ScenarioRun) -> None:
    await played.next_turn()


async def by_cancelling_again(played: ScenarioRun) -> None:
    await played.cancel()


WAYS = (ending, by_the_recovery, by_the_next_message, by_cancelling_again)


@pytest.mark.whole
@pytest.mark.parametrize("place", ["sqlite", "dynamodb"], indirect=True)
@pytest.mark.parametrize(
    ("scene", "standing", "ends"),
    [
        ("cancelling", NOTHING_DONE, "cancelled"),
        ("cancelling effects", EFFECTS, "cancelled"),
        ("cancelling too late", FINISHED, "reply"),
    ],
    ids=["nothing was done", "tools had effects", "it had finished"],
)
async def test_a_wish_to_cancel_outlives_who_had_it(
    new_setup: Callable[[str], Setup], scene: Scene, standing: Point, ends: str
) -> None:
    setup = new_setup("tools")
    if standing == FINISHED and setup.place.dynamodb is not None:
        standing = FINISHED_IN_DYNAMODB
    points, whole = await undisturbed(setup, standing)
    ends = setup.scenario.reply if ends == "reply" else ends

    # Killed before the first statement it has wished nothing yet.
    broken = kills(scene, points[1:])
    for place, point in enumerate(broken):
        way = WAYS[place % len(WAYS)]
        where = (point, way.__name__)
        played, stopped = stop(setup, standing)
        assert played.start_cancelling(at=point).wait() == {"killed": signal.SIGKILL}, where

        await (way if played.expire() else ending)(played)

        assert await ending(played) == ends, where
        await played.next_turn()
        assert played.outcome() == whole, where
        assert asked_again(played.asked) == 0, where
        before = played.rows()
        stopped.go_on()
        assert stopped.wait() == {"exited": 0}, where
        assert played.rows() == before, where
        told = {"error": "TurnFailed"} if ends == "cancelled" else {"reply": ends}
        assert stopped.result() == told, where

    print(f"{standing}: {len(broken)} kills")


async def undisturbed(setup: Setup, standing: Point) -> tuple[list[Point], Outcome]:
    """Cancel undisturbed; give the points that were passed and what came of it."""
    played, stopped = stop(setup, standing)
    canceller = played.start_cancelling()
    assert canceller.wait() == {"exited": 0}
    late = standing[0].endswith("Store.finish")
    assert canceller.result() == {"outcome": "too_late" if late else "cancelled"}
    await played.next_turn()
    outcome = played.outcome()
    stopped.go_on()
    assert stopped.wait() == {"exited": 0}
    return counted(lines(canceller.points)), outcome


def stop(setup: Setup, at: Point) -> tuple[ScenarioRun, Child]:
    played = setup.start_run()
    child = played.start(at=at, by=signal.SIGSTOP)
    assert child.wait() == {"stopped": signal.SIGSTOP}
    return played, child
