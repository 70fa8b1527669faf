"""A process is stopped at a point, replaced, and wakes up when all is over: it changes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import psycopg
import pytest

from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup
from parley_testing.scenarios.where_to_kill import Scene, stops
from parley_testing.waiting import until

STORES = ["sqlite", "dynamodb"]
SCENARIOS: tuple[Scene, ...] = ("tools", "agents", "asking")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("place", "one_in"), [("sqlite", 1), ("dynamodb", 4)], indirect=["place"], ids=STORES
)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_process_that_wakes_up_after_it_was_replaced_changes_nothing(
    new_setup: Callable[[str], Setup], scenario: Scene, one_in: int, sql: psycopg.Connection
) -> None:
    setup = new_setup(scenario)
    points, whole = await setup.undisturbed()
    stopped = stops(scenario, points, one_in=one_in)

    again = 0
    ahead = start(setup, stopped[0])
    for point, next_point in zip(stopped, [*stopped[1:], None], strict=True):
        played, zombie = ahead
        assert zombie.wait() == {"stopped": signal.SIGSTOP}, point
        # The next is stopped meanwhile, unless it would hold a lock for some time unobserved.
        if early := next_point is not None and not holds(next_point) and not holds(point):
            ahead = start(setup, next_point)
        # The zombie stays stopped with all its threads, and nothing bounds their transactions: who
        # waits for one waits until the server ends it, as it does with whoever leaves one idle.
        takeover = asyncio.create_task(played.send_again())
        await until(lambda takeover=takeover, of=zombie: takeover.done() or blockers_end(sql, of))
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


def blockers_end(sql: psycopg.Connection, zombie: Child) -> bool:
    """End those of a process's transactions that another waits for; False, for it waits still."""
    sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s AND pid IN ("
        "SELECT unnest(pg_blocking_pids(waiting.pid)) FROM pg_stat_activity waiting"
        " WHERE waiting.datname = current_database())",
        [f"child-{zombie.pid}"],
    )
    return False


def start(setup: Setup, point: Point) -> tuple[ScenarioRun, Child]:
    played = setup.start_run()
    return played, played.fork(point, signal.SIGSTOP, key="k", lease=0.001, patience=0)
