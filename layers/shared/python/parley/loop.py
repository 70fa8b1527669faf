"""One event loop for the life of the process.

The model's client belongs to the loop in which it was first used: with a loop an invocation,
every second one fails on a warm process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on the process's loop, and leave no task behind.

    A task that were left would go on in the middle of the next invocation.
    """
    # Otherwise all work would see what the first caller's context held, and not its own caller's.
    return _runner().run(_alone(work), context=copy_context())


def end() -> None:
    """End the process's loop, with the threads that it has; the next work gets a new one."""
    if _runner.cache_info().currsize:
        _runner().close()
        _runner.cache_clear()


async def _alone(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
