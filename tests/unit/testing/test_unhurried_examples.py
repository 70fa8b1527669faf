"""Examples of Hypothesis take as long as they take."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@given(st.just("one example"))
def test_one_that_takes_longer_than_hypothesis_would_let_it_is_none_that_fails(text: str) -> None:
    time.sleep(0.25)

    assert text


def test_examples_may_be_slow_to_come_too() -> None:
    assert HealthCheck.too_slow in settings().suppress_health_check
