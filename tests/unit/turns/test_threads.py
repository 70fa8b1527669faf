"""Blocking calls: once begun, they are waited for."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from parley.turns.threads import in_executor, in_thread


async def test_it_gives_what_the_call_gives() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)


async def test_it_raises_what_the_call_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_caller_waits_for_the_call(fails: bool) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait(5)
        ended.set()
        if fails:
            raise ValueError

    caller = asyncio.ensure_future(in_thread(call))
    await asyncio.to_thread(begun.wait, 5)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_it_runs_in_the_executor_that_is_given() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        name = await in_executor(executor, lambda: threading.current_thread().name)

    assert name.startswith("mine")
