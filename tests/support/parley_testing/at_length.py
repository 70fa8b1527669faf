"""How often a test does what could be done any number of times."""

from __future__ import annotations

import os

AT_LENGTH = os.environ.get("PARLEY_TEST_AT_LENGTH") == "1"


def times(*, enough: int, full: int) -> int:
    """Return how often to do something.

    Args:
        enough: What `make test` does: enough to notice each rule that is taken out.
        full: What `make faults` does, which sets `PARLEY_TEST_AT_LENGTH=1`.
    """
    return full if AT_LENGTH else enough
