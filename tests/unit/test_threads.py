"""Blocking calls: once begun, they are waited for, and tried again where that is asked."""

from __future__ import annotations

import asyncio
import threading

import pytest

from parley import threads
from parley.errors import StoreUnavailable
from parley.failpoints import observed
from parley.threads import OwnThreads, in_thread, in_thread_with_retry, to_its_end
from parley_testing.waiting import HANG_SECONDS


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
        go_on.wait(HANG_SECONDS)
        ended.set()
        if fails:
            raise ValueError

    caller = asyncio.ensure_future(in_thread(call))
    await asyncio.to_thread(begun.wait, HANG_SECONDS)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_calls_that_are_left_do_not_keep_others_waiting() -> None:
    go_on = threading.Event()
    threads = OwnThreads("mine", at_once=1)
    left = threads.begin(go_on.wait)
    waiting = threads.begin(lambda: threading.current_thread().name)

    threads.leave()

    name = await threads.begin(lambda: threading.current_thread().name)
    assert name.startswith("mine")
    assert not left.done()
    assert not waiting.done()
    go_on.set()
    await asyncio.gather(left, waiting)
    threads.leave()


async def test_a_cancelled_caller_waits_no_longer_than_its_patience() -> None:
    go_on = threading.Event()
    threads = OwnThreads("mine", at_once=1)
    call = threads.begin(go_on.wait)
    caller = asyncio.ensure_future(to_its_end(call, patience=0.01))
    await asyncio.sleep(0)
    caller.cancel()

    with pytest.raises(asyncio.CancelledError):
        await caller

    assert not call.done()
    go_on.set()
    await asyncio.wait([call])
    threads.leave()


class Flaky:
    """A store that cannot serve the first few times."""

    def __init__(self, failures: int) -> None:
        self.asked = 0
        self._failures = failures

    def answer(self, given: str) -> str:
        self.asked += 1
        if self.asked <= self._failures:
            raise StoreUnavailable("Postgres", f"down {self.asked}")
        return given


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long a patient call waits, without the waiting."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    return slept


@pytest.mark.parametrize("failures", range(len(threads.PAUSES) + 1))
async def test_a_patient_call_outlives_a_short_outage(failures: int, paused: list[float]) -> None:
    flaky = Flaky(failures)

    assert await in_thread_with_retry(flaky.answer, "given") == "given"

    assert flaky.asked == failures + 1
    assert paused == list(threads.PAUSES[:failures])


async def test_a_patient_call_gives_up_with_the_last_reason(paused: list[float]) -> None:
    flaky = Flaky(99)

    with pytest.raises(StoreUnavailable) as failed:
        await in_thread_with_retry(flaky.answer, "given")

    tries = len(threads.PAUSES) + 1
    assert (flaky.asked, failed.value.reason) == (tries, f"down {tries}")


async def test_patience_is_only_for_stores_that_cannot_serve(paused: list[float]) -> None:
    flaky = Flaky(0)

    def broken(given: str) -> str:
        flaky.answer(given)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_thread_with_retry(broken, "given")

    assert (flaky.asked, paused) == (1, [])


async def test_a_patient_call_that_is_cancelled_while_it_waits_does_not_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flaky, waiting = Flaky(99), asyncio.Event()

    async def for_ever(_: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", for_ever)
    caller = asyncio.ensure_future(in_thread_with_retry(flaky.answer, "given"))
    await asyncio.wait_for(waiting.wait(), HANG_SECONDS)

    caller.cancel()

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert flaky.asked == 1


def test_patience_ends_long_before_the_gateway_does() -> None:
    assert sum(threads.PAUSES) < 2


async def test_a_call_stands_between_two_points() -> None:
    passed: list[str] = []

    with observed(passed.append):
        await in_thread(divmod, 7, 2)
        with pytest.raises(ZeroDivisionError):
            await in_thread(divmod, 7, 0)

    assert passed == ["before divmod", "after divmod", "before divmod"]
