"""Whatever happens, and in whatever order, each promise is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from parley_testing.run.at_length import AT_LENGTH, times
from parley_testing.schedules.machine import machine
from parley_testing.schedules.steps import taken
from parley_testing.schedules.world import World

STEPS_OF_ONE = 40
STEPS = int(os.environ.get("PARLEY_SCHEDULE_STEPS", times(enough=200, full=800)))
_LONG = STEPS > 5000
# A failing schedule is printed as soon as it fails. Making it shorter takes minutes.
_SHRINK = [Phase.shrink] if "PARLEY_SCHEDULE_SHRINK" in os.environ else []


# What a schedule comes to depends on who is faster too: a run may miss one of these. Another
# is made then. The short runs have the seeds 0, 1, …; the long one takes --hypothesis-seed.
ROUNDS = max(5, 4_000 // STEPS)
OUTCOMES = [
    "outcome: answered",
    "outcome: died",
    "outcome: TurnFailed",
    "outcome: StoreUnavailable",
    "outcome: TurnInProgress",
    "outcome: cancelled",
    "outcome: streamed",
    "outcome: accepted",
    "outcome: QueueFull",
    "outcome: worked",
    "outcome: summarised",
    "restored: postgres",
    "restored: memory",
    "restored: both",
]
if AT_LENGTH:
    OUTCOMES += [
        "outcome: paused",
        "outcome: TurnWaiting",
        "outcome: approved",
        "outcome: rejected",
        "resumed",
        "zombies of before a pause refused",
    ]


@pytest.mark.timeout(0 if _LONG or _SHRINK else 3000)
def test_every_promise_is_kept_on_random_schedules(
    new_world: Callable[[], World], capsys: pytest.CaptureFixture[str]
) -> None:
    taken.clear()

    missing = OUTCOMES
    for number in range(ROUNDS):
        with capsys.disabled() if _LONG else nullcontext():
            schedules = machine(new_world)
            run_state_machine_as_test(
                schedules if _LONG else seed(number)(schedules),
                settings=settings(
                    # Most schedules are shorter than they may be, the first ones by much.
                    max_examples=5 * STEPS // (2 * STEPS_OF_ONE),
                    stateful_step_count=STEPS_OF_ONE,
                    deadline=None,
                    database=None,
                    print_blob=True,
                    phases=[Phase.generate, *_SHRINK],
                    report_multiple_bugs=False,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        missing = [outcome for outcome in OUTCOMES if not taken[outcome]]
        if not missing and taken["steps"] >= STEPS:
            break

    if _LONG:
        with capsys.disabled():
            print("\n" + json.dumps(dict(sorted(taken.items())), indent=1))
    assert taken["steps"] >= STEPS
    assert not missing, f"no schedule of {ROUNDS} runs had: {missing}"
