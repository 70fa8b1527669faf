"""Processes that are copies of the test's, each of which may be killed at a point."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from threading import Lock, get_ident

from parley import failpoints
from parley.errors import ParleyError
from parley.testing.recording import Recording

Point = tuple[str, int]
"""A point's name, and the how manieth passing of it."""

TOOL_BEGINS = "before the tool "
"""What the name of the point where a tool begins is, up to the tool's."""


class ForkMissing(ParleyError, RuntimeError):
    """This system cannot copy a process."""


def require_fork() -> None:
    """Check that processes can be copied here.

    Raises:
        ForkMissing: They cannot.
    """
    if not hasattr(os, "fork"):
        raise ForkMissing(
            f"parley.testing copies processes with os.fork, which {sys.platform} does not have: run"
            " the tests on Linux or macOS, or in WSL."
        )


def fork(work: Callable[[], object], recording: Recording, at: Point | None = None) -> int:
    """Do work in a copy of this process, which ends with it, and return the copy's id.

    It has what the test has: objects, patches, the environment. What it changes in them is lost.

    Args:
        work: What to do.
        recording: Gets the name of each point that is passed in the file `points`.
        at: Where the copy kills itself.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Of the threads that may run here the copy uses none.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 70
    gc.freeze()  # looking through what it has of the test would copy that page by page
    logging.disable()  # each run would log the same again
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 -- the process ends with it
    try:
        with failpoints.observed(EndAt(partial(recording.add, "points"), at)):
            work()
        code = 0
    except BaseException:
        recording.add("died", traceback.format_exc())
    finally:
        os._exit(code)


def wait(copies: Iterable[int]) -> list[bool]:
    """Wait for the end of copies; if this is interrupted, end them.

    Returns:
        Of each whether it was killed.
    """
    left = list(copies)
    killed = []
    try:
        while left:
            _, status = os.waitpid(left[0], 0)
            killed.append(os.WIFSIGNALED(status))
            left.pop(0)
        return killed
    except BaseException:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        for pid in left:
            os.waitpid(pid, 0)
        raise


def places_to_kill(passed: Sequence[str], ledgers: Collection[str]) -> list[Point]:
    """Return the points at which a kill leaves something different.

    Between a point after a write of Parley's and one before the next nothing is done that lasts.
    Behind an entry in a ledger the tool goes on. A process that dies where a tool begins has not
    run it, and would be counted as if: the point before that stands for it.
    """
    of_tools = {f"after {name}" for name in ledgers}
    seen: Counter[str] = Counter()
    found: list[Point] = []
    for point, following in zip(passed, [*passed[1:], ""], strict=True):
        seen[point] += 1
        merges = (
            point.startswith("after ")
            and following.startswith("before ")
            and not following.startswith(TOOL_BEGINS)
            and point not in of_tools
        )
        if not merges and not point.startswith(TOOL_BEGINS):
            found.append((point, seen[point]))
    return found


class EndAt:
    """Observes failpoints: keeps each that is passed, and ends or stops the process at one."""

    def __init__(
        self,
        keep: Callable[[str], object],
        at: Point | None,
        signal_number: int = signal.SIGKILL,
    ) -> None:
        """Keep what to do.

        Args:
            keep: Is given the name of each point.
            at: Where the signal is sent; None for nowhere.
            signal_number: SIGKILL, or SIGSTOP.
        """
        self._keep, self._at, self._signal = keep, at, signal_number
        self._passed: Counter[str] = Counter()
        self._lock = Lock()

    def __call__(self, point: str) -> None:
        """Pass a point, in whichever thread."""
        with self._lock:
            self._passed[point] += 1
            here = (point, self._passed[point])
            self._keep(point)
        if here == self._at:
            # To this very thread: sent to the process, a stop lets it run on for a moment.
            signal.pthread_kill(get_ident(), self._signal)
