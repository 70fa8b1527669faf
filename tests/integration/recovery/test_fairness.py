"""In which order the recovery wakes: users take turns, and nobody is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from parley.repository.database import Database
from parley.repository.turns import RunningTurn
from parley.repository.waiting import WaitingSessions
from parley.turns.recover import Recovered, Recovery
from parley.turns.wakeup import Waker

Leave = Callable[..., RunningTurn]


class Woken:
    """A wake-up that keeps whose session it was woken for."""

    def __init__(self) -> None:
        self.order: list[tuple[str | None, UUID]] = []

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        assert delay == 0
        self.order.append((user_id, session_id))

    @property
    def users(self) -> list[str | None]:
        return [user for user, _ in self.order]


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def recover(database: Database, woken: Woken) -> Callable[..., Recovered]:
    recovery = Recovery(WaitingSessions(database), Waker(woken))
    return lambda **named: asyncio.run(recovery.recover(**{"seconds": 60, **named}))


def test_of_one_user_those_that_have_waited_longest_come_first(
    recover: Callable[..., Recovered], woken: Woken, left: Leave, sql: psycopg.Connection
) -> None:
    turns = [left() for _ in range(3)]
    for hours, turn in zip((1, 3, 2), turns, strict=True):
        wait(sql, turn, hours)

    recover()

    assert [session for _, session in woken.order] == [
        turns[place].session_id for place in (1, 2, 0)
    ]


def test_a_user_with_many_sessions_makes_no_other_wait(
    recover: Callable[..., Recovered], woken: Woken, left: Leave, sql: psycopg.Connection
) -> None:
    for _ in range(6):
        wait(sql, left(user="alice"), 5)
    for hours in (3, 4):
        wait(sql, left(user="bob"), hours)
    wait(sql, left(user="carol"), 1)

    recover()

    assert woken.users == ["alice", "bob", "carol", "alice", "bob", *["alice"] * 4]


def test_as_many_are_woken_for_as_may_and_the_next_goes_on_from_there(
    recover: Callable[..., Recovered], woken: Woken, left: Leave
) -> None:
    for user in ("alice", "alice", "alice", "bob"):
        left(user=user)

    told = [recover(most=2) for _ in range(3)]

    assert told == [Recovered(4, 2, 2), Recovered(4, 2, 0), Recovered(4, 0, 0)]
    assert sorted(woken.users[:2], key=str) == ["alice", "bob"]
    assert len({session for _, session in woken.order}) == 4


def wait(sql: psycopg.Connection, turn: RunningTurn, hours: int) -> None:
    sql.execute(
        "UPDATE turns SET lease_expires_at = now() - make_interval(hours => %s) WHERE id = %s",
        (hours, turn.id),
    )
