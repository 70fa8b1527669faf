"""Processes that lead a group of their own, so that what they start goes with them."""

from __future__ import annotations

import asyncio
import os
import signal

STOP_SECONDS = 2.0
"""How long a process that was asked to end may take."""


async def stop_group(process: asyncio.subprocess.Process) -> None:
    """Ask the group that this process leads to end; after two seconds make it."""
    signal_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        pass
    # What the process itself started may have outlived it.
    await kill_group(process)


async def kill_group(process: asyncio.subprocess.Process) -> None:
    """End the group that this process leads at once."""
    signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to every process of a group, of which there may be none any more."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        # Nobody is left in the group; macOS says "not permitted" of one that is being reaped.
        return


def how_it_ended(code: int) -> str:
    """Say in Lambda's words how a process ended, from its return code."""
    return f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
