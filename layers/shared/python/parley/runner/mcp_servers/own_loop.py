"""An event loop of its own for connections, in a thread that lives as long as the process.

What a connection to an MCP server consists of belongs to the task that opened it, and a turn's own
loop keeps no task when its invocation ends. Between invocations nothing is done here.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LETTING_GO_SECONDS = 5.0


class OwnLoop:
    """A loop in a thread, which begins with the first work that is given to it."""

    def __init__(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        """Keep how the thread is to be.

        Args:
            name: How it is called.
            close: Is done in the loop before the process ends, if it ends by itself.
        """
        self._name = name
        self._close = close
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have work done in the loop and return what it gives.

        A cancelled caller waits until the work has let go, though not for long.
        """
        done: Future[T] = Future()
        done.set_running_or_notify_cancel()
        loop, tasks = self._started(), list[asyncio.Task[T]]()
        loop.call_soon_threadsafe(lambda: tasks.append(_begun(loop, work, done)))
        waiter = asyncio.wrap_future(done)
        try:
            await asyncio.wait([waiter])
        except asyncio.CancelledError:
            waiter.add_done_callback(_forgotten)
            loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            await asyncio.wait([waiter], timeout=_LETTING_GO_SECONDS)
            raise
        return waiter.result()

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called in the loop, if there is one, and do not wait for it."""
        if self._loop is not None and self._process == os.getpid():
            self._loop.call_soon_threadsafe(function)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():  # a fork has no thread of it
                self._process = os.getpid()
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                thread.start()
                atexit.register(self._end)
            return self._loop

    def _serve(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _end(self) -> None:
        if self._process != os.getpid():
            return

        async def end() -> None:
            await self._close()

        assert self._loop is not None
        ending = asyncio.run_coroutine_threadsafe(end(), self._loop)
        try:
            ending.result(_LETTING_GO_SECONDS)
        except TimeoutError:
            ending.cancel()  # the process ends, and what it has open with it


def _begun(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], done: Future[T]
) -> asyncio.Task[T]:
    def ended(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            done.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(task.result())

    task = loop.create_task(work)
    task.add_done_callback(ended)
    return task


def _forgotten(waiter: asyncio.Future[Any]) -> None:
    if not waiter.cancelled():
        waiter.exception()
