"""A process is stopped at a point, replaced, and wakes up when all is over: it changes nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from parley_testing.fault_stage import Play, Point, Stage
from parley_testing.fork_server import Child

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
    new_stage: Callable[[str], Stage], scenario: str, every: int
) -> None:
    stage = new_stage(scenario)
    points, whole = await stage.undisturbed()
    # Only who holds the turn's row makes a takeover wait, and all of those are in.
    holding = [point for point in points if point[0].startswith("before the commit of")]
    stopped = sorted({*points[::every], *holding}, key=points.index)

    again = 0
    longest = {True: 0.0, False: 0.0}
    ahead = start(stage, stopped[0])
    for point, next_point in zip(stopped, [*stopped[1:], None], strict=True):
        play, zombie = ahead
        assert zombie.wait() == {"stopped": signal.SIGSTOP}, point
        # The next is stopped meanwhile, unless it would hold its row for some time unobserved.
        if early := next_point is not None and next_point not in holding and point not in holding:
            ahead = start(stage, next_point)
        started = time.monotonic()
        assert await play.send_again() == stage.scenario.reply, point
        seconds = time.monotonic() - started
        await play.next_turn()
        before, asked = play.rows(), len(play.asked)

        zombie.go_on()

        assert zombie.wait() == {"exited": 0}, point
        assert play.rows() == before, point
        assert play.outcome() == whole, point
        # It tells its caller what the turn came to, and has bought no more than one answer.
        assert zombie.result() == {"reply": stage.scenario.reply}, point
        assert len(play.asked) - asked <= 1, point
        again += len(play.asked) - asked
        if next_point is not None and not early:
            ahead = start(stage, next_point)
        longest[point in holding] = max(longest[point in holding], seconds)

    assert longest[False] < MARGIN
    assert PATIENCE / 2 < longest[True] < PATIENCE + MARGIN
    print(
        f"{scenario}: {len(stopped)} points, {again} model calls by zombies; takeover within"
        f" {longest[False]:.2f} s, {longest[True]:.2f} s from who held the row"
    )


def start(stage: Stage, point: Point) -> tuple[Play, Child]:
    play = stage.play()
    return play, play.start(at=point, by=signal.SIGSTOP, lease=0.001)
