"""All execution environments of one function."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol

from parley.errors import ParleyError
from parley_local.execution import (
    START_SECONDS,
    Answer,
    EnvironmentLost,
    ExecutionEnvironment,
)
from parley_local.template import Function

PAYLOAD_LIMIT = 6_291_556
"""Bytes that Lambda takes and gives as one synchronous payload."""


class PayloadTooLarge(ParleyError):
    """The event is over Lambda's limit; the function did not see it."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes, over {PAYLOAD_LIMIT}")
        self.size = size


class Invocable(Protocol):
    """What runs one function: its pool, or that of whichever code serves at the moment."""

    @property
    def function(self) -> Function:
        """Which."""

    async def invoke(self, event: Any, request_id: str) -> Answer:
        """Run the function on one event."""

    async def prewarm(self) -> None:
        """Start one process."""


class Pool:
    """Runs one function in as many processes as there are events at a time, up to a limit.

    As on Lambda: a process serves one event at a time, the one used last is used next, and a
    process that overruns the function's time-out is killed. Unlike on Lambda, events over the
    limit wait their turn, and a process is not frozen between events.
    """

    def __init__(
        self,
        function: Function,
        variables: Mapping[str, str],
        *,
        limit: int = 4,
        init_timeout: float = START_SECONDS,
    ) -> None:
        self.function = function
        self._variables = {**function.variables, **variables}
        self._init_timeout = init_timeout
        self._places = asyncio.Semaphore(limit)
        self._idle: list[ExecutionEnvironment] = []
        self._alive: set[ExecutionEnvironment] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run now, in their order."""
        return sorted(environment.pid for environment in self._alive if environment.alive)

    async def invoke(self, event: Any, request_id: str) -> Answer:
        """Run the function on one event; an error of any kind is in the answer, as on Lambda.

        Raises:
            PayloadTooLarge: The event is over Lambda's limit.
        """
        size = payload_size(event)
        if size > PAYLOAD_LIMIT:
            raise PayloadTooLarge(size)
        async with self._places:
            try:
                environment = await self._take()
                answer = await environment.invoke(event, request_id)
            except EnvironmentLost as lost:
                return Answer(error=lost.error)
            finally:
                self._forget_dead()
            self._idle.append(environment)
        if payload_size(answer.result) > PAYLOAD_LIMIT:
            fault = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT})"
            return Answer(
                error={"errorMessage": fault, "errorType": "Function.ResponseSizeTooLarge"}
            )
        return answer

    async def prewarm(self) -> None:
        """Start one process, so that the first event finds it warm.

        Raises:
            EnvironmentLost: The function cannot be imported.
        """
        async with self._places:
            try:
                self._idle.append(await self._take())
            finally:
                self._forget_dead()

    async def aclose(self) -> None:
        """Stop every process; running invocations are cut off. Safe to call twice."""
        self._closed = True
        self._idle.clear()
        await asyncio.gather(*(environment.close() for environment in self._alive))
        self._alive.clear()

    async def _take(self) -> ExecutionEnvironment:
        while self._idle:
            environment = self._idle.pop()
            if environment.alive:
                return environment
        environment = await ExecutionEnvironment.spawn(self.function, self._variables)
        if self._closed:
            await environment.kill()
            raise EnvironmentLost({"errorMessage": "The gateway is stopping."})
        self._alive.add(environment)
        await environment.ready(self._init_timeout)
        return environment

    def _forget_dead(self) -> None:
        self._alive = {environment for environment in self._alive if environment.alive}


def payload_size(payload: Any) -> int:
    """Return the bytes that Lambda counts of an event or a result."""
    return len(json.dumps(payload, ensure_ascii=False).encode(errors="replace"))
