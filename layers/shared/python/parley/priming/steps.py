"""The steps of priming: what fails of them is told, and the function starts as it would have."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from parley import loop, starting
from parley.errors import ParleyError
from parley.observability import logger, traced
from parley.store_threads import end_threads
from parley.threads import end_own_threads

_FAILED = "priming failed; a first request does more"


class PrimingFailed(ParleyError):
    """A request of nobody's was not answered as it should be.

    Attributes:
        route: What was asked for.
        status: What was answered.
    """

    def __init__(self, route: str, status: int) -> None:
        super().__init__(f"{route} answered {status}")
        self.route = route
        self.status = status


@contextmanager
def step(what: str) -> Iterator[None]:
    """Log what fails within the block, and go on after it.

    A first request then does by itself what is missing, or fails as it would have without priming.
    A deployment that failed for that would be worse: what is primed is the project's code too.

    Args:
        what: What is done, for the log.
    """
    try:
        yield
    except BaseException as error:  # a module may raise anything when it is imported
        logger().error(_FAILED, step=what, **traced(error, quoting=True))


def primed_by(work: Callable[[], None]) -> None:
    """Prime in a context of its own, and leave a process that has no thread and no loop of its own.

    All three would belong to one process, and a snapshot becomes many.

    Args:
        work: What primes.
    """
    gc.disable()
    try:
        copy_context().run(work)
    finally:
        loop.end()
        end_own_threads()
        end_threads()
        gc.collect()
        starting.done()
