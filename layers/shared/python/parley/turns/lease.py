"""A lease: the right of one attempt to a turn. Every write asks it before, and is fenced by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from parley.errors import Fenced, StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.repository.database import refusal
from parley.repository.fair_use import Reached
from parley.repository.turns import RunningTurn, TurnRepository
from parley.threads import in_thread, in_thread_with_retry
from parley.timing import LEASE_SECONDS, RENEW_SECONDS
from parley.turns.wakeup import Watchdog

P = ParamSpec("P")
T = TypeVar("T")


class Lease:
    """Holds a turn for one attempt.

    A store that fails, or a fence that refuses, ends the attempt: `broken` keeps the error, and
    every later call raises it. The SDK turns a tool's exception into text for the model, also
    from inside an agent that is used as a tool; an attempt that was replaced would go on talking.

    Attributes:
        turn: The turn, with the number of the attempt.
        broken: What ended the attempt, if anything has.
        has_budget: Whether the turn's user has a budget, as far as was heard of it.
        counts_money: Whether something bounds what its calls cost, likewise.
    """

    def __init__(self, turn: RunningTurn, turns: TurnRepository, watchdog: Watchdog) -> None:
        """Hold a turn.

        Args:
            turn: The turn, as it was begun or claimed.
            turns: Where the lease is.
            watchdog: Has a worker look if the attempt dies.
        """
        self.turn = turn
        self.broken: Exception | None = None
        self.has_budget = turn.has_budget
        self.counts_money = turn.counts_money
        self._turns = turns
        self._watchdog = watchdog
        self._held_until = _end()

    def check(self) -> None:
        """Raise what ended the attempt, if anything has."""
        if self.broken is not None:
            raise self.broken

    def lose(self, error: Exception | None = None) -> NoReturn:
        """End the attempt, which was replaced unless another error is given, and raise why."""
        self.broken = self.broken or error or Fenced(self.turn.number, self.turn.attempt)
        raise self.broken

    def mend(self) -> None:
        """Let the turn be ended though a store has refused what it had to write."""
        if isinstance(self.broken, StoreRefused | StoreMisconfigured):
            self.broken = None

    async def ensure_held(self) -> None:
        """Look whether the turn is still ours if the process may have been frozen meanwhile.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        self.check()
        if time.time() > self._held_until:
            await self.renew()

    async def renew(self) -> None:
        """Hold the turn for another lease.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        renewed = await self.guard(_own(in_thread_with_retry(self._turns.renew, self.turn)))
        if renewed is None:
            self.lose()
        self.has_budget |= renewed.has_budget
        self.counts_money |= renewed.counts_money
        self._held_until = _end()
        self._watchdog.arm()  # if the queue could not take it before

    def learn_rate(self, rate: tuple[int, int] | None) -> None:
        """Keep what the turn's agent's model costs, for later turns of this process."""
        self._turns.learn_rate(self.turn.agent, rate)

    async def hold_tokens(
        self, *, held: int, spent: int, held_cost: int, spent_cost: int
    ) -> Reached | None:
        """Hold of the budgets, and the turn for another lease; return what forbids it.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        self.check()
        holding = in_thread_with_retry(
            self._turns.hold_tokens,
            self.turn,
            held=held,
            spent=spent,
            held_cost=held_cost,
            spent_cost=spent_cost,
        )
        answer = await self.guard(_own(holding))
        if isinstance(answer, Reached):
            return answer
        if answer is None:
            self.lose()
        self.counts_money |= answer.counts_money
        self._held_until = _end()
        return None

    async def fence(self) -> None:
        """Go on as the next attempt, so that what this one left running can write nothing.

        Raises:
            Fenced: Another has replaced this attempt, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        fenced = await in_thread(self._turns.fence, self.turn)
        if fenced is None:
            raise Fenced(self.turn.number, self.turn.attempt)
        self.turn = fenced

    async def write(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a write that may be repeated, with retry, if the attempt still holds its turn.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: A store cannot serve now.
            StoreRefused: A store will not take it.
        """
        await self.ensure_held()
        return await self.guard(_own(in_thread_with_retry(function, *args, **kwargs)))

    async def guard(self, write: Awaitable[T]) -> T:
        """Wait for a write; what refuses it ends the attempt."""
        try:
            return await write
        except (Fenced, StoreUnavailable, StoreRefused) as error:
            self.broken = self.broken or error
            raise


async def _own(write: Awaitable[T]) -> T:
    """Wait for a statement of Parley's own: what Postgres refuses of a tool's, the model is told.

    Raises:
        StoreRefused: Postgres will not take it; `StoreMisconfigured` where the deployment is why.
    """
    try:
        return await write
    except DBAPIError as error:
        raise refusal(error) from error


def _end() -> float:
    # The wall clock goes on while a process is frozen. Somewhat early: the lease began before
    # Postgres's answer came.
    return time.time() + LEASE_SECONDS - 5


async def held(
    work: Coroutine[Any, Any, T],
    lease: Lease,
    *,
    seconds: float,
    beside: Coroutine[Any, Any, NoReturn] | None = None,
) -> T:
    """Work on a turn while keeping its lease.

    Args:
        work: What to do. It is cancelled, and waited for, when the turn is lost or time is up.
        lease: The turn's.
        seconds: How long it may take.
        beside: What is done meanwhile; if it ends by an error, so does the work.

    Raises:
        TimeoutError: Time was up.
        Fenced: The attempt was replaced.
        StoreUnavailable: The lease could not be renewed.
    """
    task = asyncio.ensure_future(work)
    tasks: list[asyncio.Future[Any]] = [task]
    if beside is not None:
        tasks.append(asyncio.ensure_future(beside))
    end = asyncio.get_running_loop().time() + seconds
    renewal = asyncio.get_running_loop().time() + RENEW_SECONDS
    try:
        while not task.done():
            now = asyncio.get_running_loop().time()
            if now >= end:
                raise TimeoutError
            if now >= renewal:
                await lease.renew()
                renewal = asyncio.get_running_loop().time() + RENEW_SECONDS
                continue
            await asyncio.wait(
                tasks, timeout=min(end, renewal) - now, return_when=asyncio.FIRST_COMPLETED
            )
            if not task.done():
                for other in tasks[1:]:
                    if other.done():
                        other.result()
        return task.result()
    finally:
        for left in tasks:
            left.cancel()
        await asyncio.wait(tasks)
        for left in tasks:
            if not left.cancelled():
                left.exception()  # the caller is told of something else
