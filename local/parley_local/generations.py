"""The gateway of the moment: new code takes over between two requests, and no turn is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from parley_local.execution import Answer
from parley_local.gateway import Gateway
from parley_local.template import Function


class _Generation:
    """A gateway, and how much of what it was asked for still goes on."""

    def __init__(self, gateway: Gateway, forget: Callable[[], None]) -> None:
        self.gateway = gateway
        self.forget = forget
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def used(self) -> Iterator[Gateway]:
        self._under_way += 1
        self._idle.clear()
        try:
            yield self.gateway
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def drained(self) -> None:
        await self._idle.wait()


class Generations:
    """An ASGI app that hands each request to the gateway that serves now."""

    def __init__(self) -> None:
        """Serve nothing until the first `serve`."""
        self._current: _Generation | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def serve(self, gateway: Gateway, forget: Callable[[], None]) -> None:
        """Let a gateway serve from now on; the one before ends when nothing of it goes on.

        Args:
            gateway: The new one, which is closed here in the end.
            forget: Removes what only that one needs, once it is closed.
        """
        before, self._current = self._current, _Generation(gateway, forget)
        if before is not None:
            leaving = asyncio.create_task(_leave(before))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        """Close all gateways; what still goes on is cut off."""
        for leaving in self._leaving:
            leaving.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        if self._current is not None:
            await _close(self._current)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        with self._serving().used() as gateway:
            await gateway(scope, receive, send)

    def pools(self, functions: Mapping[str, Function]) -> dict[str, CurrentPool]:
        """Return what runs each function in the gateway of the moment."""
        return {name: CurrentPool(self, each) for name, each in functions.items()}

    def _serving(self) -> _Generation:
        if self._current is None:
            raise RuntimeError("no gateway serves yet")
        return self._current


class CurrentPool:
    """Runs a function in the gateway that serves when it is asked for.

    Attributes:
        function: Which, as the template has it.
    """

    def __init__(self, generations: Generations, function: Function) -> None:
        self.function = function
        self._generations = generations

    async def invoke(self, event: Any, request_id: str) -> Answer:
        """Run the function on one event, as its pool does."""
        with self._generations._serving().used() as gateway:
            return await gateway.pools[self.function.name].invoke(event, request_id)

    async def prewarm(self) -> None:
        """Start one process.

        Raises:
            EnvironmentLost: The function cannot be imported.
        """
        with self._generations._serving().used() as gateway:
            await gateway.pools[self.function.name].prewarm()


async def _leave(generation: _Generation) -> None:
    try:
        await generation.drained()
    finally:
        await asyncio.shield(_close(generation))


async def _close(generation: _Generation) -> None:
    await generation.gateway.aclose()
    generation.forget()
