"""The lease: what ends an attempt ends it for good, and nothing is written without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NoReturn, cast

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, ProgrammingError

from parley.errors import Fenced, StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.timing import LEASE_SECONDS
from parley.turns import lease as module
from parley.turns.lease import Lease, held
from parley.turns.wakeup import Watchdog
from parley_testing.stores.in_memory import FIRST_ATTEMPT, Queue, Stores, Turns

OUTAGE = StoreUnavailable("postgres", "down")
REFUSAL = StoreRefused("postgres", "22003")


@pytest.fixture
def stores() -> Stores:
    return Stores()


@pytest.fixture
def turns(stores: Stores) -> Turns:
    return stores.turns


@pytest.fixture
def lease(stores: Stores) -> Lease:
    watchdog = Watchdog(stores.waker, FIRST_ATTEMPT.session_id, "alice")
    return Lease(FIRST_ATTEMPT, cast(Any, stores.turns), watchdog)


@pytest.fixture
def freeze(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the wall clock go on while the process stands still."""
    clock = time.time

    def freeze(seconds: float) -> None:
        monkeypatch.setattr("parley.turns.lease.time.time", lambda: clock() + seconds)

    return freeze


def fail(error: Exception) -> NoReturn:
    raise error


@pytest.mark.parametrize("error", [Fenced(1, 1), OUTAGE, REFUSAL], ids=repr)
async def test_what_a_write_fails_with_ends_the_attempt(lease: Lease, error: Exception) -> None:
    with pytest.raises(type(error)):
        await lease.write(fail, error)

    wrote: list[int] = []
    with pytest.raises(type(error)):  # also where the SDK has made text of the first
        await lease.write(wrote.append, 1)
    assert wrote == []


async def test_the_first_reason_is_kept(lease: Lease) -> None:
    with pytest.raises(StoreUnavailable):
        await lease.write(fail, OUTAGE)

    with pytest.raises(StoreUnavailable):
        lease.lose(Fenced(1, 1))
    assert lease.broken is OUTAGE


async def test_a_defect_does_not_end_the_attempt(lease: Lease) -> None:
    with pytest.raises(ZeroDivisionError):
        await lease.write(fail, ZeroDivisionError())

    assert await lease.write(lambda: "written") == "written"


async def test_what_postgres_refuses_of_parley_s_own_statements_is_a_refusal(lease: Lease) -> None:
    refused: DBAPIError = ProgrammingError("INSERT", {}, psycopg.errors.UndefinedTable())

    with pytest.raises(StoreMisconfigured):
        await lease.write(fail, refused)


async def test_losing_it_says_which_attempt_was_replaced(lease: Lease) -> None:
    with pytest.raises(Fenced) as fenced:
        lease.lose()

    assert (fenced.value.number, fenced.value.attempt) == (1, 1)


@pytest.mark.parametrize(
    ("error", "mended"),
    [
        (REFUSAL, True),
        (StoreMisconfigured("postgres", "42501"), True),
        (OUTAGE, False),
        (Fenced(1, 1), False),
    ],
    ids=repr,
)
async def test_only_after_a_refusal_may_the_turn_still_be_ended(
    lease: Lease, error: Exception, mended: bool
) -> None:
    with pytest.raises(type(error)):
        lease.lose(error)

    lease.mend()

    assert (lease.broken is None) is mended


async def test_a_fresh_lease_costs_no_statement(lease: Lease, turns: Turns) -> None:
    await lease.write(lambda: None)

    assert turns.done == []


async def test_a_process_that_was_frozen_asks_before_it_writes(
    lease: Lease, turns: Turns, freeze: Callable[[float], None]
) -> None:
    freeze(LEASE_SECONDS)
    turns.held = False
    wrote: list[int] = []

    with pytest.raises(Fenced):
        await lease.write(wrote.append, 1)

    assert (turns.done, wrote) == (["renew"], [])


async def test_it_asks_once_for_each_lease(
    lease: Lease, turns: Turns, freeze: Callable[[float], None]
) -> None:
    freeze(LEASE_SECONDS)
    await lease.ensure_held()
    await lease.ensure_held()

    assert turns.done == ["renew"]


async def test_with_each_renewal_a_wakeup_is_left_that_the_queue_did_not_take(
    lease: Lease, stores: Stores
) -> None:
    queue: Queue = stores.queue

    await lease.renew()
    await lease._watchdog.settle()

    assert len(queue.delays) == 1


async def test_a_fence_is_another_attempt_and_nobody_s_who_lost_the_turn(
    lease: Lease, turns: Turns
) -> None:
    await lease.fence()
    assert lease.turn.attempt == 2

    turns.held = False
    with pytest.raises(Fenced):
        await lease.fence()


async def test_work_that_is_done_in_time_gives_its_result(lease: Lease) -> None:
    async def work() -> str:
        return "done"

    assert await held(work(), lease, seconds=60) == "done"


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        ended.append("work")


async def test_work_that_takes_too_long_is_cancelled_and_waited_for(lease: Lease) -> None:
    ended: list[str] = []

    with pytest.raises(TimeoutError):
        await held(forever(ended), lease, seconds=0.01)

    assert ended == ["work"]


async def test_the_lease_is_renewed_while_work_goes_on(
    lease: Lease, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.0)

    async def work() -> None:
        while len(turns.done) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)

    await held(work(), lease, seconds=60)

    assert turns.done[:3] == ["renew"] * 3


async def test_work_on_a_turn_that_was_lost_is_cancelled_and_waited_for(
    lease: Lease, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.0)
    turns.held = False
    ended: list[str] = []

    with pytest.raises(Fenced):
        await held(forever(ended), lease, seconds=60)

    assert ended == ["work"]


async def test_what_is_done_beside_ends_the_work_by_its_error_and_ends_with_it(
    lease: Lease,
) -> None:
    async def fails() -> NoReturn:
        raise OUTAGE

    ended: list[str] = []
    with pytest.raises(StoreUnavailable):
        await held(forever(ended), lease, seconds=60, beside=fails())
    assert ended == ["work"]

    beside: list[str] = []
    begun = asyncio.Event()

    async def keeps() -> NoReturn:
        begun.set()
        await forever(beside)
        raise AssertionError

    await held(begun.wait(), lease, seconds=60, beside=keeps())
    assert beside == ["work"]
