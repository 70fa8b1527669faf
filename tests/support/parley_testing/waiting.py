"""Waiting for what others bring about: in another task, thread or process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

HANG_SECONDS = 300.0
"""What takes so long hangs: it is far above what the busiest machine needs, and decides nothing."""


def wait_for(condition: Callable[[], object], seconds: float = HANG_SECONDS) -> None:
    """Wait in a thread until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def wait_until_ready(
    process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path
) -> None:
    """Wait until a server that was started is ready.

    Args:
        process: The server.
        is_ready: Whether it is.
        log: What it writes, which says why it is not: one that ends is told with it, and one that
            hangs is ended first by a signal on which many write what their threads are at.
    """
    try:
        wait_for(lambda: process.poll() is not None or is_ready())
    except AssertionError:
        process.send_signal(signal.SIGABRT)
        process.wait()
    assert process.poll() is None, log.read_text(errors="replace")


async def until(condition: Callable[..., object], seconds: float = HANG_SECONDS) -> None:
    """Wait on a loop until a condition holds.

    Raises:
        TimeoutError: It did not happen in time.
    """
    async with asyncio.timeout(seconds):
        # What is waited for may happen in another thread or process.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def longer_and_longer(seconds: float) -> Iterator[float]:
    """Yield limits of time, for something that has to come some way before it is cut off.

    The first is enough on a machine with nothing else to do. A test takes the next where it was cut
    off too early to tell anything, and fails if it was so with all of them.
    """
    while seconds < HANG_SECONDS:
        yield seconds
        seconds *= 4


def alive(pid: int) -> bool:
    """Whether a process runs; a killed one keeps its files open until its last thread ends."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.NoSuchProcess:
        return False
