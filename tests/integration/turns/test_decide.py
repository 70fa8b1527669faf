"""Deciding: once, by whom the tool says, and with a wake-up that cannot be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import AlreadyDecided, InvalidField, MayNotDecide, NotFound
from parley.ids import new_id
from parley.repository import approvals
from parley.repository.approvals import Approval, Asked, pause
from parley.repository.waiting import WaitingSessions
from parley.turns.decide import Decider
from parley.turns.recover import Recovery
from parley.turns.wakeup import Waker
from parley.users.erasure import Eraser
from parley_testing.models.scripted import in_order
from parley_testing.workbench import Workbench

Decide = Callable[..., Any]


class Rung:
    """A queue that keeps for which sessions it was rung."""

    def __init__(self) -> None:
        self.sessions: list[UUID] = []

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str = "") -> None:
        self.sessions.append(session_id)


@pytest.fixture
def bench(new_bench: Callable[..., Workbench]) -> Workbench:
    return new_bench(in_order())


@pytest.fixture
def rung() -> Rung:
    return Rung()


@pytest.fixture
def decider(bench: Workbench, rung: Rung) -> Decider:
    queue: Any = rung
    return Decider(bench.database, Waker(queue))


def asked(bench: Workbench, *calls: Asked, user: str = "alice", seconds: float = 60) -> Any:
    """Let a turn wait, and return what it asks for."""
    turn = bench.begin(bench.new_session(user), user=user)
    return pause(
        bench.database, turn, calls or [Asked("c", "a", "pay", "{}")], expires_in=seconds, spent=0
    )


def status_of(sql: psycopg.Connection, approval: Approval) -> Any:
    return sql.execute(
        "SELECT a.status, t.status FROM approvals a JOIN turns t ON t.id = a.turn_id"
        " WHERE a.id = %s",
        [approval.id],
    ).fetchone()


async def test_the_last_decision_lets_the_turn_go_on_and_rings(
    bench: Workbench, decider: Decider, rung: Rung, sql: psycopg.Connection
) -> None:
    first, second = asked(bench, Asked("c", "a", "pay", "{}"), Asked("d", "a", "pay", "{}"))

    await decider.decide(first.id, "approved", by="alice", may=())
    assert rung.sessions == []
    assert status_of(sql, second) == ("open", "waiting")

    await decider.decide(second.id, "rejected", by="alice", may=(), reason="no")
    assert rung.sessions == [second.session_id]
    assert status_of(sql, second) == ("rejected", "running")
    assert bench.turns.claim_head(second.session_id).outcome == "claimed"


async def test_of_twenty_who_decide_at_once_one_does_and_the_others_are_told(
    bench: Workbench, decider: Decider, rung: Rung, sql: psycopg.Connection
) -> None:
    (approval,) = asked(bench, Asked("c", "a", "pay", "{}", "payer"))
    deciding = [
        decider.decide(
            approval.id,
            "approved" if number % 2 else "rejected",
            by=f"clerk {number}",
            may=("payer",),
        )
        for number in range(20)
    ]

    answers = await asyncio.gather(*deciding, return_exceptions=True)

    (decided,) = [each for each in answers if isinstance(each, Approval)]
    told = [each.decision for each in answers if isinstance(each, AlreadyDecided)]
    assert told == [decided.status] * 19
    assert status_of(sql, approval) == (decided.status, "running")
    assert rung.sessions == [approval.session_id]


async def test_of_two_who_decide_on_two_at_once_one_is_the_last(
    bench: Workbench, decider: Decider, rung: Rung
) -> None:
    for _ in range(10):
        rung.sessions.clear()
        both = asked(bench, Asked("c", "a", "pay", "{}"), Asked("d", "a", "pay", "{}"))

        await asyncio.gather(
            *(decider.decide(each.id, "approved", by="alice", may=()) for each in both)
        )

        assert rung.sessions == [both[0].session_id]


async def test_deciding_the_same_again_is_harmless_and_rings_again(
    bench: Workbench, decider: Decider, rung: Rung
) -> None:
    (approval,) = asked(bench)
    first = await decider.decide(approval.id, "approved", by="alice", may=())

    again = await decider.decide(approval.id, "approved", by="alice", may=())

    assert again == first
    assert len(rung.sessions) == 2
    with pytest.raises(AlreadyDecided):
        await decider.decide(approval.id, "rejected", by="alice", may=())


async def test_who_dies_before_ringing_is_made_good_by_the_recovery(
    bench: Workbench, rung: Rung
) -> None:
    (approval,) = asked(bench)
    await Decider(bench.database).decide(approval.id, "approved", by="alice", may=())

    queue: Any = rung
    recovery = Recovery(WaitingSessions(bench.database), Waker(queue))
    recovered = await recovery.recover(seconds=60)

    assert (recovered.waiting, recovered.woken) == (1, 1)
    assert rung.sessions == [approval.session_id]


async def test_a_turn_that_waits_is_no_case_for_the_recovery(bench: Workbench, rung: Rung) -> None:
    asked(bench)
    queue: Any = rung

    recovered = await Recovery(WaitingSessions(bench.database), Waker(queue)).recover(seconds=60)

    assert (recovered.waiting, rung.sessions) == (0, [])


@pytest.mark.parametrize(
    ("decider_word", "by", "may", "allowed"),
    [
        ("user", "alice", (), True),
        ("user", "eve", ("admin", "payer"), None),
        ("admin", "alice", (), False),
        ("admin", "alice", ("admin",), True),
        ("admin", "anna", ("admin",), True),
        ("payer", "alice", ("admin",), False),
        ("payer", "anna", ("payer",), True),
        ("payer", "anna", ("admin",), None),
    ],
)
async def test_who_may_decide_the_tool_says(
    bench: Workbench,
    decider: Decider,
    decider_word: str,
    by: str,
    may: tuple[str, ...],
    allowed: bool | None,
) -> None:
    (approval,) = asked(bench, Asked("c", "a", "pay", "{}", decider_word))

    decision = decider.decide(approval.id, "approved", by=by, may=may)

    if allowed:
        assert (await decision).decided_by == by
        return
    with pytest.raises(NotFound if allowed is None else MayNotDecide):
        await decision


async def test_an_administrator_does_not_decide_for_a_user(
    bench: Workbench, decider: Decider
) -> None:
    (approval,) = asked(bench)

    with pytest.raises(MayNotDecide):
        await decider.decide(
            approval.id, "approved", by="anna", may=("admin",), as_administrator=True
        )


async def test_arguments_are_changed_only_where_the_tool_lets_them_and_by_who_approves(
    bench: Workbench, decider: Decider
) -> None:
    (fixed,) = asked(bench)
    (free,) = asked(bench, Asked("c", "a", "pay", "{}", "user", True))

    with pytest.raises(InvalidField):
        await decider.decide(fixed.id, "approved", by="alice", may=(), edited='{"a":1}')
    with pytest.raises(InvalidField):
        await decider.decide(free.id, "rejected", by="alice", may=(), edited='{"a":1}')
    decided = await decider.decide(free.id, "approved", by="alice", may=(), edited='{"a":1}')

    assert decided.edited_arguments == '{"a":1}'
    assert decided.digest == Asked("c", "a", "pay", '{"a":1}').digest
    with pytest.raises(AlreadyDecided):
        await decider.decide(free.id, "approved", by="alice", may=())


async def test_what_nobody_decides_on_in_time_expires_and_the_turn_goes_on(
    bench: Workbench, rung: Rung, sql: psycopg.Connection
) -> None:
    over, later = (asked(bench, seconds=each) for each in (-1, 60))
    queue: Any = rung
    recovery = Recovery(WaitingSessions(bench.database), Waker(queue))

    assert recovery.expire(left=lambda: 60.0) == 1
    await recovery.recover(seconds=60)

    assert status_of(sql, over[0]) == ("expired", "running")
    assert status_of(sql, later[0]) == ("open", "waiting")
    assert rung.sessions == [over[0].session_id]


async def test_who_decides_too_late_is_told_and_the_turn_goes_on(
    bench: Workbench, decider: Decider, rung: Rung, sql: psycopg.Connection
) -> None:
    (approval,) = asked(bench, seconds=-1)

    with pytest.raises(AlreadyDecided) as told:
        await decider.decide(approval.id, "approved", by="alice", may=())

    assert told.value.decision == "expired"
    assert status_of(sql, approval) == ("expired", "running")
    assert rung.sessions == [approval.session_id]


async def test_deciding_against_cancelling_deleting_erasing_and_expiring_leaves_one_of_them(
    bench: Workbench, decider: Decider, sql: psycopg.Connection
) -> None:
    recovery = Recovery(WaitingSessions(bench.database), Waker())
    eraser = Eraser(bench.database, lambda: bench.store)
    for number in range(16):
        user = f"user {number}"
        (approval,) = asked(bench, user=user, seconds=60 if number % 4 else -1)
        decide = decider.decide(approval.id, "approved", by=user, may=())
        if number % 4 == 1:
            other: Any = bench.canceller.cancel(user, approval.session_id, approval.turn_id)
        elif number % 4 == 2:
            other = asyncio.to_thread(bench.sessions.delete, user, approval.session_id)
        elif number % 4 == 3:
            other = asyncio.to_thread(eraser.erase, user, left=lambda: 60.0)
        else:
            other = asyncio.to_thread(recovery.expire, left=lambda: 60.0)

        answers: list[Any] = list(await asyncio.gather(decide, other, return_exceptions=True))
        decided, done = answers

        assert not isinstance(done, Exception), done
        assert isinstance(decided, Approval | AlreadyDecided | NotFound), decided
        after = status_of(sql, approval)
        if number % 4 in (2, 3):
            assert after is None
            assert not await bench.session_worker.run_next(approval.session_id, seconds=60)
            assert not sql.execute("SELECT FROM approvals WHERE user_id = %s", [user]).fetchall()
        elif number % 4 == 1:
            assert after[1] == "cancelled"
            assert after[0] == ("approved" if isinstance(decided, Approval) else "cancelled")
        else:
            assert after == ("expired", "running")


async def test_an_approval_is_nobody_else_s(bench: Workbench) -> None:
    (approval,) = asked(bench)

    with pytest.raises(NotFound):
        approvals.get(bench.database, approval.id, "eve")
    with pytest.raises(NotFound):
        approvals.get(bench.database, new_id(), None)
    assert approvals.listed(bench.database, "eve", status=None, limit=5, cursor=None).items == []


async def test_lists_go_on_where_they_stopped(bench: Workbench) -> None:
    made = [asked(bench)[0] for _ in range(5)]

    seen: list[UUID] = []
    cursor = None
    while True:
        page = approvals.listed(bench.database, "alice", status="open", limit=2, cursor=cursor)
        seen += [each.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == [each.id for each in reversed(made)]
