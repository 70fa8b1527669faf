"""Waiting for what others bring about: in another task, thread or process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psutil

HANG_SECONDS = 300.0
"""What takes so long hangs: it is far above what the busiest machine needs, and decides nothing."""


def wait_for(condition: Callable[[], object], seconds: float = HANG_SECONDS) -> None:
    """Wait in a thread until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


async def until(condition: Callable[..., object], seconds: float = HANG_SECONDS) -> None:
    """Wait on a loop until a condition holds.

    Raises:
        TimeoutError: It did not happen in time.
    """
    async with asyncio.timeout(seconds):
        # What is waited for may happen in another thread or process.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
