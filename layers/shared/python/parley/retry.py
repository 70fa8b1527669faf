"""Waiting for a Postgres that cannot serve, for a short while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from parley.errors import StoreUnavailable
from parley.timing import PATIENCE_SECONDS

T = TypeVar("T")

PAUSES = (0.0, 0.1, 0.5)
"""Seconds before each further try. The first comes at once: what failed on a connection that had
died, or against another transaction, mostly succeeds then."""


def with_retry(call: Callable[[], T]) -> T:
    """Make a call, and again after a pause if Postgres cannot serve.

    Args:
        call: May be repeated though an earlier one was carried out and its answer lost.

    Raises:
        StoreUnavailable: Of the last try.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    for pause in PAUSES:
        try:
            return call()
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
        # Not all at the same moment: what failed together would fail together again.
        time.sleep(random.uniform(0.5, 1) * pause)
    return call()
