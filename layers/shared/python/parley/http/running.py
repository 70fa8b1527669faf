"""The turns that this process carries out for requests, so that none is left when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from parley.repository.transcript import TurnView
from parley.turns.send import OpenedTurn


class RunningTurns:
    """Knows of every turn that runs here. For one event loop."""

    def __init__(self) -> None:
        self._opening: set[asyncio.Task[OpenedTurn]] = set()
        self._works: set[asyncio.Task[TurnView]] = set()

    async def open(self, opening: Coroutine[Any, Any, OpenedTurn]) -> OpenedTurn:
        """Wait for a turn to be begun or found.

        Once begun it is known here, also if the caller is cancelled meanwhile.
        """
        task = asyncio.ensure_future(opening)
        self._opening.add(task)
        task.add_done_callback(self._opened)
        return await asyncio.shield(task)

    async def let_go(self) -> None:
        """Cancel what runs, and wait until all of it is released: others go on with it at once."""
        while tasks := self._opening | self._works:
            for work in self._works:
                work.cancel()
            await asyncio.wait(tasks)
            # Those that were done have left the sets only when their callbacks have run.
            await asyncio.sleep(0)

    def _opened(self, task: asyncio.Task[OpenedTurn]) -> None:
        self._opening.discard(task)
        if task.cancelled() or task.exception() is not None:
            return  # whoever asked is told
        work = task.result().work
        if work is not None:
            self._works.add(work)
            work.add_done_callback(self._works.discard)
