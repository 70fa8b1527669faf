"""A pytest plugin by which Hypothesis measures no time, and tries the same examples in each run.

A busy machine falsifies nothing then, and what CI finds is found again. At length, and with
`--hypothesis-seed`, it draws others.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from parley_testing.run.at_length import AT_LENGTH

_NAME = "unhurried"


# Before tests are imported, which take what their own settings leave out when they are.
def pytest_configure(config: pytest.Config) -> None:
    """Load the profile."""
    drawn = AT_LENGTH or config.getoption("--hypothesis-seed") is not None
    settings.register_profile(
        _NAME,
        parent=settings(),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=not drawn,
    )
    settings.load_profile(_NAME)
