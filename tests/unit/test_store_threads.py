"""The threads of our own blocking calls: begun by the first call, bounded, ended at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextvars import ContextVar

from parley.store_threads import AT_ONCE, begin_call
from parley_testing.waiting import HANG_SECONDS

_named: ContextVar[str] = ContextVar("named", default="nobody")


async def test_a_call_sees_its_callers_context_in_a_thread_of_ours() -> None:
    _named.set("the caller")

    thread, named = await begin_call(lambda: (threading.current_thread().name, _named.get()))

    assert thread.startswith("parley-store")
    assert named == "the caller"


async def test_no_more_run_at_once_than_may() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def call() -> None:
        begun.release()
        go_on.wait(HANG_SECONDS)

    calls = [begin_call(call) for _ in range(AT_ONCE + 1)]
    for _ in range(AT_ONCE):
        assert await asyncio.to_thread(begun.acquire, timeout=HANG_SECONDS)

    threads = [each for each in threading.enumerate() if each.name.startswith("parley-store")]
    assert len(threads) == AT_ONCE
    assert not begun.acquire(blocking=False)
    go_on.set()
    await asyncio.gather(*calls)


def test_none_is_begun_by_an_import_and_none_outlives_the_process() -> None:
    program = """
import asyncio, os, threading
from parley.store_threads import begin_call
assert threading.active_count() == 1, threading.enumerate()
async def one(): return await begin_call(lambda: threading.current_thread().name)
print(asyncio.run(one()), flush=True)
if (child := os.fork()) == 0:
    print(asyncio.run(one()), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["parley-store_0", "parley-store_0"]
