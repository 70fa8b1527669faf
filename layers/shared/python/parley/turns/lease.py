"""Holding a turn: the lease is renewed while the agent works."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from parley.turns.attempt import Attempt

T = TypeVar("T")

RENEW_SECONDS = 15
"""How often a running turn's lease is renewed. Shorter turns never do, and save the round trip."""


async def held(work: Coroutine[Any, Any, T], attempt: Attempt, *, seconds: float) -> T:
    """Work on a turn while keeping its lease.

    Args:
        work: What to do. It is cancelled, and waited for, when the turn is lost or time is up.
        attempt: On whose behalf.
        seconds: How long it may take.

    Raises:
        TimeoutError: Time was up.
        Fenced: The attempt was replaced.
        StoreUnavailable: The lease could not be renewed.
    """
    task = asyncio.ensure_future(work)
    end = asyncio.get_running_loop().time() + seconds
    try:
        while not task.done():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                raise TimeoutError
            await asyncio.wait([task], timeout=min(left, RENEW_SECONDS))
            if not task.done() and left > RENEW_SECONDS:
                await attempt.renew()
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the caller is told of something else
