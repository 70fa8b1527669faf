"""A process is killed at every point of a turn, and another makes the turn whole.

The points are those that the code itself passes in an undisturbed run.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import pytest

from parley_testing.fault_outcome import Outcome, asked_again, in_flight
from parley_testing.fault_scenarios import lines
from parley_testing.fault_stage import Play, Point, Stage, counted
from parley_testing.fork_server import Child

Way = Callable[[Play], Awaitable[None]]
STORES = ["sqlite", "dynamodb"]


async def by_the_same_key(play: Play) -> None:
    await play.send_again()


async def by_the_recovery(play: Play) -> None:
    await play.recover()
    await play.send_again()


async def by_the_next_message(play: Play) -> None:
    await play.next_turn()
    await play.send_again()


WAYS = (by_the_same_key, by_the_recovery, by_the_next_message)


@pytest.mark.parametrize(
    ("place", "ways"), [("sqlite", 2), ("dynamodb", 1)], indirect=["place"], ids=STORES
)
@pytest.mark.parametrize("scenario", ["tools", "agents"])
async def test_a_turn_that_is_killed_anywhere_is_made_whole_by_another_process(
    new_stage: Callable[[str], Stage], scenario: str, ways: int
) -> None:
    stage = new_stage(scenario)
    points, whole = await stage.undisturbed()
    broken = [
        (point, WAYS[(place + way) % len(WAYS)])
        for place, point in enumerate(points)
        for way in range(ways)
    ]

    again = 0
    # The next is killed while the last is made whole.
    started = start(stage, points[0])
    for place, (point, way) in enumerate(broken, 1):
        play, child = started
        if place < len(broken):
            started = start(stage, broken[place][0])
        again += await make_whole(play, child, point, way, whole)

    print(f"{scenario}: {len(points)} points, {len(broken)} kills, {again} model calls repeated")


@pytest.mark.parametrize(
    ("place", "every"), [("sqlite", 1), ("dynamodb", 3)], indirect=["place"], ids=STORES
)
async def test_a_turn_that_is_killed_again_while_it_is_carried_on_is_made_whole_by_a_third(
    new_stage: Callable[[str], Stage], every: int
) -> None:
    stage = new_stage("tools")
    _, whole = await stage.undisturbed()
    first = ("after the commit of add_task", 2)
    play, child = start(stage, first)
    child.wait()
    play.expire()
    resumed = play.start()
    assert resumed.wait() == {"exited": 0}
    points = counted(lines(resumed.points))
    assert [point for point, _ in points if point.endswith("Store.claim")]

    again = 0
    broken = points[::every]
    # The next is killed for the first time while the last is made whole.
    started = start(stage, first)
    for place, point in enumerate(broken, 1):
        play, child = started
        assert child.wait() == {"killed": signal.SIGKILL}
        play.expire()
        second = play.start(at=point)
        if place < len(broken):
            started = start(stage, first)
        again += await make_whole(play, second, point, by_the_same_key, whole)

    print(f"carried on: {len(broken)} points, as many kills, {again} model calls repeated")


def start(stage: Stage, point: Point) -> tuple[Play, Child]:
    play = stage.play()
    return play, play.start(at=point)


async def make_whole(play: Play, child: Child, point: Point, way: Way, whole: Outcome) -> int:
    where = (point, way.__name__)
    assert child.wait() == {"killed": signal.SIGKILL}, where
    lost = in_flight(lines(child.points))

    await (way if play.expire() else by_the_same_key)(play)
    await play.next_turn()

    assert play.outcome() == whole, where
    assert not [line for line in play.asked if line.startswith("malformed")], where
    again = asked_again(play.asked)
    assert again <= lost <= 1, where
    return again
