"""Blocking calls, made from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread; once begun it is waited for, also when cancelled.

    A thread cannot be stopped. If a cancelled caller went on without it, the call could outlive
    the invocation and write into the next.
    """
    return await _to_its_end(asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs)))


async def in_executor(executor: Executor, function: Callable[[], T]) -> T:
    """Do the same in a given executor."""
    return await _to_its_end(asyncio.get_running_loop().run_in_executor(executor, function))


async def _to_its_end(call: asyncio.Future[T]) -> T:
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
