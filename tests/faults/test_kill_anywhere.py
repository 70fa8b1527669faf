"""A process is killed at every point of a turn, and another makes the turn whole.

The points are those that the code itself passes in an undisturbed run.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import pytest

from parley_testing.run.at_length import times
from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.outcome import Outcome, asked_again, in_flight
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup, counted
from parley_testing.scenarios.turns import lines
from parley_testing.scenarios.where_to_kill import Scene, kills

Way = Callable[[ScenarioRun], Awaitable[None]]
STORES = ["sqlite", "dynamodb"]
SCENARIOS: tuple[Scene, ...] = ("tools", "agents", "asking")


async def by_the_same_key(played: ScenarioRun) -> None:
    await played.send_again()


async def by_the_recovery(played: ScenarioRun) -> None:
    await played.recover()
    await played.send_again()


async def by_the_next_message(played: ScenarioRun) -> None:
    await played.next_turn()
    await played.send_again()


WAYS = (by_the_same_key, by_the_recovery, by_the_next_message)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("place", "ways"),
    [("sqlite", times(enough=1, full=2)), ("dynamodb", 1)],
    indirect=["place"],
    ids=STORES,
)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_turn_that_is_killed_anywhere_is_made_whole_by_another_process(
    new_setup: Callable[[str], Setup], scenario: Scene, ways: int
) -> None:
    setup = new_setup(scenario)
    points, whole = await setup.undisturbed()
    decided = {"before decide", "after decide"} <= {point for point, _ in points}
    assert decided == (scenario == "asking")
    broken = [
        (point, WAYS[(place + way) % len(WAYS)])
        for place, point in enumerate(kills(scenario, points))
        for way in range(ways)
    ]

    # Where nobody else may have the turn, the next is killed while the last is made whole.
    # What is decided on is anybody's until the next attempt, and a recovery finds it.
    ahead = scenario != "asking"
    again = 0
    started = start(setup, points[0])
    for place, (point, way) in enumerate(broken, 1):
        played, child = started
        if ahead and place < len(broken):
            started = start(setup, broken[place][0])
        again += await make_whole(played, child, point, way, whole)
        if not ahead and place < len(broken):
            started = start(setup, broken[place][0])

    print(f"{scenario}: {len(points)} points, {len(broken)} kills, {again} model calls repeated")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("place", "one_in"), [("sqlite", 1), ("dynamodb", 3)], indirect=["place"], ids=STORES
)
@pytest.mark.parametrize(
    ("scenario", "scene", "first"),
    [
        ("tools", "tools, carried on", ("after the commit of add_task", 2)),
        ("asking", "asking, carried on", ("after decide", 1)),
    ],
    ids=["tools", "asking"],
)
async def test_a_turn_that_is_killed_again_while_it_is_carried_on_is_made_whole_by_a_third(
    new_setup: Callable[[str], Setup], scenario: str, scene: Scene, first: Point, one_in: int
) -> None:
    setup = new_setup(scenario)
    _, whole = await setup.undisturbed()
    played, child = start(setup, first)
    child.wait()
    played.expire()
    resumed = played.start()
    assert resumed.wait() == {"exited": 0}
    points = counted(lines(resumed.points))
    assert [point for point, _ in points if point.endswith("Store.claim")]

    again = 0
    broken = kills(scene, points, one_in=one_in)
    # The next is killed for the first time while the last is made whole.
    started = start(setup, first)
    for place, point in enumerate(broken, 1):
        played, child = started
        assert child.wait() == {"killed": signal.SIGKILL}
        await played.hung_up(child)
        played.expire()
        second = played.start(at=point)
        if place < len(broken):
            started = start(setup, first)
        again += await make_whole(played, second, point, by_the_same_key, whole)

    print(f"{scenario} carried on: {len(broken)} points, as many kills, {again} calls repeated")


def start(setup: Setup, point: Point) -> tuple[ScenarioRun, Child]:
    played = setup.start_run()
    return played, played.start(at=point)


async def make_whole(
    played: ScenarioRun, child: Child, point: Point, way: Way, whole: Outcome
) -> int:
    where = (point, way.__name__)
    assert child.wait() == {"killed": signal.SIGKILL}, where
    await played.hung_up(child)
    lost = in_flight(lines(child.points))

    await (way if played.expire() else by_the_same_key)(played)
    await played.next_turn()

    assert played.outcome() == whole, where
    assert not [line for line in played.asked if line.startswith("malformed")], where
    again = asked_again(played.asked)
    assert again <= lost <= 1, where
    return again
