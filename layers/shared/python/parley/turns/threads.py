"""Blocking calls, made from the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

from parley.errors import StoreUnavailable
from parley.points import passing
from parley.repository.patience import PATIENCE_SECONDS
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
        return await to_its_end(asyncio.ensure_future(asyncio.to_thread(call)))


async def patiently(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
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
            if error.store == "postgres" or time.monotonic() > end:
                raise
            await asyncio.sleep(pause)
    return await in_thread(function, *args, **kwargs)


async def in_executor(executor: Executor, function: Callable[[], T]) -> T:
    """Run a blocking call in a given executor, to its end."""
    return await to_its_end(asyncio.get_running_loop().run_in_executor(executor, function))


def between_points(name: str, call: Callable[[], T]) -> T:
    """Make a call that outlives the process, between a point before it and one after."""
    passing(f"before {name}")
    result = call()
    passing(f"after {name}")
    return result


async def to_its_end(call: asyncio.Future[T]) -> T:
    """Wait for what was begun, also when cancelled meanwhile; then the caller is."""
    cancelled: asyncio.CancelledError | None = None
    while not call.done():
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        call.exception()  # the cancelled caller has no use for it
        raise cancelled
    return call.result()
