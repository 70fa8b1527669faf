"""A process is stopped at a point, replaced, and wakes up when all is over: it changes nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup

PATIENCE = 1.0
"""Seconds that a statement, or a transaction left idle, may take: see the fixture `database`."""
MARGIN = 2.0
"""Seconds that a takeover may take on a busy machine though it waits for nobody."""
STORES = ["sqlite", "dynamodb"]


@pytest.mark.parametrize(
    ("place", "every"), [("sqlite", 1), ("dynamodb", 4)], indirect=["place"], ids=STORES
)
@pytest.mark.parametrize("scenario", ["tools", "agents"])
async def test_a_process_that_wakes_up_after_it_was_replaced_changes_nothing(
    new_setup: Callable[[str], Setup], scenario: str, every: int
) -> None:
    setup = new_setup(scenario)
    points, whole = await setup.undisturbed()
    # Only who holds the turn's row makes a takeover wait, and all of those are in.
    holding = [point for point in points if point[0].startswith("before the commit of")]
    stopped = sorted({*points[::every], *holding}, key=points.index)

    again = 0
    longest = {True: 0.0, False: 0.0}
    ahead = start(setup, stopped[0])
    for point, next_point in zip(stopped, [*stopped[1:], None], strict=True):
        played, zombie = ahead
        assert zombie.wait() == {"stopped": signal.SIGSTOP}, point
        # The next is stopped meanwhile, unless it would hold its row for some time unobserved.
        if early := next_point is not None and next_point not in holding and point not in holding:
            ahead = start(setup, next_point)
        started = time.monotonic()
        assert await played.send_again() == setup.scenario.reply, point
        seconds = time.monotonic() - started
        await played.next_turn()
        before, asked = played.rows(), len(played.asked)

        zombie.go_on()

        assert zombie.wait() == {"exited": 0}, point
        assert played.rows() == before, point
        assert played.outcome() == whole, point
        # It tells its caller what the turn came to, and has bought no more than one answer.
        assert zombie.result() == {"reply": setup.scenario.reply}, point
        assert len(played.asked) - asked <= 1, point
        again += len(played.asked) - asked
        if next_point is not None and not early:
            ahead = start(setup, next_point)
        longest[point in holding] = max(longest[point in holding], seconds)

    assert longest[False] < MARGIN
    assert PATIENCE / 2 < longest[True] < PATIENCE + MARGIN
    print(
        f"{scenario}: {len(stopped)} points, {again} model calls by zombies; takeover within"
        f" {longest[False]:.2f} s, {longest[True]:.2f} s from who held the row"
    )


def start(setup: Setup, point: Point) -> tuple[ScenarioRun, Child]:
    played = setup.start_run()
    return played, played.start(at=point, by=signal.SIGSTOP, lease=0.001)
