"""Blocking calls, made from the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from parley.errors import StoreMisconfigured, StoreUnavailable
from parley.failpoints import failpoint
from parley.store_threads import begin_call
from parley.timing import PATIENCE_SECONDS
from parley.tracing import subsegment

P = ParamSpec("P")
T = TypeVar("T")

PAUSES = (0.1, 0.5)
"""Seconds between the tries of a call to a store that cannot serve."""


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread; once begun it is waited for, also when cancelled.

    A thread cannot be stopped. If a cancelled caller went on without it, the call could outlive
    the invocation and write into the next.
    """

    def call() -> T:
        return between_points(function.__qualname__, lambda: function(*args, **kwargs))

    with subsegment(function.__qualname__):
        return await to_its_end(begin_call(call))


async def in_thread_with_retry(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the same, and again after a pause if the agent-session store cannot serve.

    Postgres has been waited for when its `Database` gives up. Only for calls that may be repeated
    though an earlier one was carried out and its answer lost.

    Raises:
        StoreUnavailable: Of the last try.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    for pause in PAUSES:
        try:
            return await in_thread(function, *args, **kwargs)
        except StoreUnavailable as error:
            if error.store == "postgres" or isinstance(error, StoreMisconfigured):
                raise
            if time.monotonic() > end:
                raise
            await asyncio.sleep(pause)
    return await in_thread(function, *args, **kwargs)


class OwnThreads:
    """Threads that are kept for some calls. For one event loop."""

    def __init__(self, name: str, *, at_once: int) -> None:
        """Keep how they are to be; they begin with the first calls.

        Args:
            name: What their names begin with.
            at_once: How many calls are made at a time; others wait.
        """
        self._name = name
        self._at_once = at_once
        self._executor = self._new()
        _OWN.append(self)

    def _new(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=self._at_once, thread_name_prefix=self._name)

    def begin(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Have a call made when it is its turn."""
        return asyncio.get_running_loop().run_in_executor(self._executor, function)

    def leave(self) -> None:
        """Leave the calls that run to themselves: those to come have other threads."""
        self._executor.shutdown(wait=False)
        self._executor = self._new()

    def end(self) -> None:
        """End them when what they do is done; calls to come have other threads."""
        self._executor.shutdown()
        self._executor = self._new()


_OWN: list[OwnThreads] = []
"""All that there are in the process."""


def end_own_threads() -> None:
    """End all threads that are kept for some calls."""
    for threads in _OWN:
        threads.end()


def between_points(name: str, call: Callable[[], T]) -> T:
    """Make a call that outlives the process, between a point before it and one after."""
    failpoint(f"before {name}")
    result = call()
    failpoint(f"after {name}")
    return result


async def to_its_end(call: asyncio.Future[T], *, patience: float | None = None) -> T:
    """Wait for what was begun, also when cancelled meanwhile; then the caller is.

    Args:
        call: What was begun.
        patience: How many seconds a cancelled caller waits at most, after which the call goes on
            without it; None for as long as it takes.
    """
    clock = asyncio.get_running_loop().time
    cancelled: asyncio.CancelledError | None = None
    end: float | None = None
    while not call.done():
        try:
            await asyncio.wait([call], timeout=None if end is None else end - clock())
        except asyncio.CancelledError as error:
            cancelled = error
            if patience is not None:
                end = end or clock() + patience
        if end is not None and clock() >= end:
            break
    if cancelled is not None:
        call.add_done_callback(_forgotten)  # the cancelled caller has no use for it
        raise cancelled
    return call.result()


def _forgotten(call: asyncio.Future[Any]) -> None:
    if not call.cancelled():
        call.exception()
