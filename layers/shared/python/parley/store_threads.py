"""Threads for our own blocking calls, of the stores and of what keeps secrets.

The SDK runs the bodies of plain synchronous tools in asyncio's threads, of which there are only a
few more than processors: several that block would keep every call behind them waiting, the renewal
of their own turn's lease too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 16
"""How many calls are made at a time in a process; others wait. They wait on the network."""


@cache
def _threads() -> ThreadPoolExecutor:
    # One for the process, made by its first call: a call may outlive the loop that it was made
    # from. The interpreter waits for what is running when it ends.
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="parley-store")


os.register_at_fork(after_in_child=_threads.cache_clear)  # which has none of its parent's threads


def end_threads() -> None:
    """End the threads when what they do is done; the next call gets others."""
    if _threads.cache_info().currsize:
        _threads().shutdown()
        _threads.cache_clear()


def begin_call(call: Callable[[], T]) -> asyncio.Future[T]:
    """Begin a blocking call in a thread that no tool can occupy, and return what will come of it.

    It sees the caller's context variables. Cancelling what is returned does not stop it.
    """
    context = copy_context()
    return asyncio.get_running_loop().run_in_executor(_threads(), lambda: context.run(call))
