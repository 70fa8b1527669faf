"""Rules on the ends of invocations and on frozen processes (turn-protocol, section 7)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from parley import loop, threads
from parley.errors import Fenced, TurnUnfinished
from parley.runner import execute
from parley.threads import in_thread
from parley.timing import LEASE_SECONDS
from parley.turns import lease
from parley.turns.lease import Lease
from parley_testing.models.scripted import Items, call, in_order, say
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]


def test_nothing_goes_on_in_the_next_invocation(kept: bool, rule: Any) -> None:
    """Without it a task that one invocation leaves resumes in the middle of another."""

    async def bare(work: Any) -> Any:
        return await work

    rule.instead(loop, "_alone", bare)
    went_on: list[str] = []
    left: list[asyncio.Task[None]] = []

    async def rest() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        went_on.append("of the first")

    async def first() -> None:
        left.append(asyncio.ensure_future(rest()))

    async def second() -> None:
        await asyncio.wait(left)

    loop.run(first())
    loop.run(second())

    assert went_on == ([] if kept else ["of the first"])


async def test_a_write_that_has_begun_is_waited_for(kept: bool, rule: Any) -> None:
    """Without it a write outlives the invocation that was cancelled, and ends in the next."""

    async def cancelled_at_once(call: asyncio.Future[Any]) -> Any:
        return await call

    rule.instead(threads, "to_its_end", cancelled_at_once)
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        may_end.wait(HANG_SECONDS)
        ended.set()

    writing = asyncio.ensure_future(in_thread(write))
    await asyncio.to_thread(begun.wait, HANG_SECONDS)
    writing.cancel()
    if kept:  # without the rule nobody waits for it
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    await asyncio.wait([writing])
    in_time = ended.is_set()
    may_end.set()
    await asyncio.to_thread(ended.wait, HANG_SECONDS)

    assert in_time is kept


async def test_a_run_that_is_out_of_time_is_cancelled(
    kept: bool, rule: Any, new_bench: NewBench, sql: psycopg.Connection
) -> None:
    """Without it the turn that was let go of has its effects beside the next attempt."""

    async def left_alone(work: Any, _: Any, *, seconds: float, beside: None) -> Any:
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            raise TimeoutError
        return task.result()

    rule.instead(execute, "held", left_alone)
    next_invocation = asyncio.Event()

    async def frozen() -> Items:
        await next_invocation.wait()
        return call("add_task", title="milk")

    bench = new_bench(in_order(frozen, say("Added.")))
    before = asyncio.all_tasks()
    with pytest.raises(TurnUnfinished):
        await bench.send(bench.new_session(), seconds=0.3)
    left = asyncio.all_tasks() - before

    next_invocation.set()
    if left:
        await asyncio.wait(left)

    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == ((0,) if kept else (1,))


async def test_a_turn_that_is_out_of_time_is_let_go_of(
    kept: bool, rule: Any, new_bench: NewBench
) -> None:
    """Without it the session is blocked until the lease runs out."""

    async def keep_it(*_: Any, **__: Any) -> None:
        """Do not release."""

    rule.instead(execute, "release", keep_it)
    never = asyncio.Event()

    async def for_ever() -> Items:
        await never.wait()
        return say("never")

    bench = new_bench(in_order(for_ever))
    asked = request(bench.new_session(), key="k")
    with pytest.raises(TurnUnfinished):
        await bench.sender.send(asked, seconds=0.3)

    again = bench.turns.begin(request(asked.session_id, key="k"))

    assert again.outcome == ("resume" if kept else "prior")


async def test_a_thawed_process_looks_whether_it_was_replaced(
    kept: bool,
    rule: Any,
    new_bench: NewBench,
    expire: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the wall clock it writes to memory that the other attempt has not claimed yet."""

    async def check(self: Lease) -> None:
        self.check()

    class Clock:
        ahead = 0.0

        def time(self) -> float:
            return time.time() + self.ahead

    clock = Clock()
    monkeypatch.setattr(lease, "time", clock)
    rule.instead(Lease, "ensure_held", check)

    def frozen() -> Items:
        clock.ahead = LEASE_SECONDS + 1
        expire(turn.id)
        assert bench.turns.begin(request(turn.session_id)).outcome == "resume"
        return call("add_task", title="milk")

    bench = new_bench(in_order(frozen, say("Added.")))
    turn = bench.begin(bench.new_session())

    with pytest.raises(Fenced):
        await bench.execute(turn)

    assert ("record" in bench.watched.calls) is not kept
