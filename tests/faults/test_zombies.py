"""A process is stopped at a point, replaced, and wakes up when all is over: it changes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import psycopg
import pytest

from parley_testing.at_length import times
from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup
from parley_testing.waiting import until

STORES = ["sqlite", "dynamodb"]


@pytest.mark.parametrize(
    ("place", "every"),
    [("sqlite", times(enough=3, full=1)), ("dynamodb", times(enough=8, full=4))],
    indirect=["place"],
    ids=STORES,
)
@pytest.mark.parametrize("scenario", ["tools", "agents", "asking"])
async def test_a_process_that_wakes_up_after_it_was_replaced_changes_nothing(
    new_setup: Callable[[str], Setup], scenario: str, every: int, sql: psycopg.Connection
) -> None:
    setup = new_setup(scenario)
    points, whole = await setup.undisturbed()
    # Only who holds a lock makes a takeover wait, and all of those are in.
    stopped = sorted({*points[::every], *filter(holds, points)}, key=points.index)

    again = 0
    ahead = start(setup, stopped[0])
    for point, next_point in zip(stopped, [*stopped[1:], None], strict=True):
        played, zombie = ahead
        assert zombie.wait() == {"stopped": signal.SIGSTOP}, point
        # The next is stopped meanwhile, unless it would hold a lock for some time unobserved.
        if early := next_point is not None and not holds(next_point) and not holds(point):
            ahead = start(setup, next_point)
        # The zombie stays stopped, and nothing bounds its transaction: who waits for it waits until
        # the server ends it, as it does with whoever leaves one idle.
        holders = in_transactions(sql)
        takeover = asyncio.create_task(played.send_again())
        if holds(point):
            await until(
                lambda takeover=takeover, holders=holders: (
                    takeover.done() or end_blockers(sql, holders)
                )
            )
        assert await takeover == setup.scenario.reply, point
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

    print(f"{scenario}: {len(stopped)} points, {again} model calls by zombies")


def holds(point: Point) -> bool:
    """Whether who is stopped there may have the turn's row, or its user's rows, to itself."""
    return point[0].startswith(("inside the transaction of", "before the commit of"))


def in_transactions(sql: psycopg.Connection) -> list[int]:
    """The connections that have left a transaction idle."""
    found = sql.execute(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    return [pid for (pid,) in found]


def end_blockers(sql: psycopg.Connection, holders: list[int]) -> bool:
    """End those of the holders that another waits for; False if nobody waits for one.

    Who takes over may have several statements waiting in a row, each of which blocks the next:
    none of those may be ended.
    """
    found = sql.execute(
        "SELECT pg_terminate_backend(holder) FROM (SELECT DISTINCT holder FROM pg_stat_activity,"
        " unnest(pg_blocking_pids(pid)) holder WHERE datname = current_database()) blocking"
        " WHERE holder = ANY(%s)",
        [holders],
    )
    return bool(found.fetchall())


def start(setup: Setup, point: Point) -> tuple[ScenarioRun, Child]:
    played = setup.start_run()
    return played, played.fork(point, signal.SIGSTOP, key="k", lease=0.001, patience=0)
