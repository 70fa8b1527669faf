"""Named points in a turn, before and after everything that outlives the process.

A test stops the process at one of them, and sees what another makes of what was left. Where
nobody observes, passing a point costs a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_observer: Callable[[str], None] | None = None


def failpoint(point: str) -> None:
    """Pass a point. Its name tells what comes next, or what has just been done."""
    if _observer is not None:
        _observer(point)


@contextmanager
def observed(observer: Callable[[str], None]) -> Iterator[None]:
    """Have a function called with the name of each point that any thread passes meanwhile."""
    global _observer
    before, _observer = _observer, observer
    try:
        yield
    finally:
        _observer = before
