"""Whatever happens, and in whatever order, each promise is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from parley_testing.schedules.machine import machine, taken
from parley_testing.schedules.world import World

STEPS_OF_ONE = 40
STEPS = int(os.environ.get("PARLEY_SCHEDULE_STEPS", "800"))
_LONG = STEPS > 5000


@pytest.mark.timeout(0 if _LONG else 120)
def test_every_promise_is_kept_on_random_schedules(
    new_world: Callable[[], World], capsys: pytest.CaptureFixture[str]
) -> None:
    taken.clear()

    run_state_machine_as_test(
        machine(new_world),
        settings=settings(
            # Some schedules are shorter than they may be.
            max_examples=2 * STEPS // STEPS_OF_ONE,
            stateful_step_count=STEPS_OF_ONE,
            deadline=None,
            # The short run is the same every time; the long one takes pytest's --hypothesis-seed.
            derandomize=not _LONG,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert taken["steps"] >= STEPS
    for outcome in ("answered", "died", "TurnFailed", "StoreUnavailable", "TurnInProgress"):
        assert taken[f"outcome: {outcome}"], f"no schedule had the outcome {outcome}"
    if _LONG:
        with capsys.disabled():
            print("\n" + json.dumps(dict(sorted(taken.items())), indent=1))
