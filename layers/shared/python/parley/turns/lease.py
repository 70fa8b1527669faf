"""Holding a turn: the lease is renewed while the agent works."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from parley.turns.attempt import Attempt

T = TypeVar("T")

RENEW_SECONDS = 15
"""How often a running turn's lease is renewed. Shorter turns never do, and save the round trip."""


async def held(
    work: Coroutine[Any, Any, T],
    attempt: Attempt,
    *,
    seconds: float,
    beside: Coroutine[Any, Any, NoReturn] | None = None,
) -> T:
    """Work on a turn while keeping its lease.

    Args:
        work: What to do. It is cancelled, and waited for, when the turn is lost or time is up.
        attempt: On whose behalf.
        seconds: How long it may take.
        beside: What is done meanwhile; if it ends by an error, so does the work.

    Raises:
        TimeoutError: Time was up.
        Fenced: The attempt was replaced.
        StoreUnavailable: The lease could not be renewed.
    """
    task = asyncio.ensure_future(work)
    tasks: list[asyncio.Future[Any]] = [task]
    if beside is not None:
        tasks.append(asyncio.ensure_future(beside))
    end = asyncio.get_running_loop().time() + seconds
    renewal = asyncio.get_running_loop().time() + RENEW_SECONDS
    try:
        while not task.done():
            now = asyncio.get_running_loop().time()
            if now >= end:
                raise TimeoutError
            if now >= renewal:
                await attempt.renew()
                renewal = asyncio.get_running_loop().time() + RENEW_SECONDS
                continue
            await asyncio.wait(
                tasks, timeout=min(end, renewal) - now, return_when=asyncio.FIRST_COMPLETED
            )
            if not task.done():
                for other in tasks[1:]:
                    if other.done():
                        other.result()
        return task.result()
    finally:
        for left in tasks:
            left.cancel()
        await asyncio.wait(tasks)
        for left in tasks:
            if not left.cancelled():
                left.exception()  # the caller is told of something else
