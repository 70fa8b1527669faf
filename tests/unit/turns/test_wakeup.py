"""Waking a worker: what it may cost the turn that wakes, and how many wake-ups it leaves."""

from __future__ import annotations

import asyncio
import threading
from uuid import UUID

import pytest

from parley import threads
from parley.errors import StoreUnavailable
from parley.timing import CRASH_SECONDS, LONGEST_DELAY_SECONDS, RETRY_SECONDS
from parley.turns.wakeup import Waker, Watchdog, retry_seconds
from parley_testing.stores.in_memory import Queue

SESSION = UUID(int=1)
DOWN = StoreUnavailable("queue", "down")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PAUSES", ())


def test_what_has_failed_is_looked_at_ever_later_and_no_later_than_the_queue_can_keep_it() -> None:
    assert [retry_seconds(tries) for tries in (0, 1, 2, 3)] == [
        RETRY_SECONDS,
        RETRY_SECONDS,
        2 * RETRY_SECONDS,
        4 * RETRY_SECONDS,
    ]
    assert {retry_seconds(tries) for tries in (6, 60, 10**9)} == {LONGEST_DELAY_SECONDS}


async def test_without_a_queue_nobody_is_woken_and_nothing_fails() -> None:
    assert await Waker().wake(SESSION, user_id="alice") is False


async def test_a_queue_that_takes_nothing_is_told_and_fails_nothing() -> None:
    queue = Queue()
    queue.fault = DOWN

    assert await Waker(queue).wake(SESSION, user_id="alice") is False

    queue.fault = None
    assert await Waker(queue).wake(SESSION, user_id="alice", delay=7) is True
    assert queue.delays == [7]


async def test_a_defect_of_the_queue_s_is_not_hidden() -> None:
    queue = Queue()
    queue.fault = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        await Waker(queue).wake(SESSION, user_id="alice")


def watchdog(queue: Queue | None) -> Watchdog:
    return Watchdog(Waker(queue), SESSION, "alice")


async def test_one_wakeup_is_left_however_often_it_is_armed() -> None:
    queue = Queue()
    dog = watchdog(queue)

    dog.arm()
    dog.arm()
    await dog.settle()
    dog.arm()
    await dog.settle()

    assert queue.delays == [CRASH_SECONDS]


async def test_one_that_the_queue_did_not_take_is_left_by_the_next_arming() -> None:
    queue = Queue()
    queue.fault = DOWN
    dog = watchdog(queue)
    dog.arm()
    await dog.settle()
    queue.fault = None

    dog.arm()
    await dog.settle()

    assert queue.delays == [CRASH_SECONDS]


async def test_none_is_left_where_another_comes_in_any_case() -> None:
    queue = Queue()
    dog = watchdog(queue)

    dog.armed_elsewhere()
    dog.arm()
    await dog.settle()

    assert queue.delays == []


async def test_the_turn_does_not_wait_for_the_queue_and_its_end_does() -> None:
    asked, answer = threading.Event(), threading.Event()

    class Slow(Queue):
        def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
            asked.set()
            answer.wait()
            super().wake(session_id, delay=delay, user_id=user_id)

    queue = Slow()
    dog = watchdog(queue)
    dog.arm()  # returns while the queue has not answered
    assert queue.delays == []
    settling = asyncio.ensure_future(dog.settle())
    await asyncio.to_thread(asked.wait)
    assert not settling.done()

    answer.set()
    await settling

    assert queue.delays == [CRASH_SECONDS]
