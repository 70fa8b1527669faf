"""Of all sessions' summaries few are made at a time, so that workers are left for turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.cleanup.forgetting import Forgetter
from parley.memory.store import AgentSessionStore
from parley.runner.told_tokens import tell_tokens
from parley.timing import SUMMARY_LEASE_SECONDS, SUMMARY_WAIT_SECONDS
from parley_testing.models.notes import keeping_facts
from parley_testing.models.scripted import Answer, Asked, say
from parley_testing.scenarios.summaries import taken, talked
from parley_testing.workbench import SUMMARIES, Workbench

NewBench = Callable[..., Workbench]

ITEMS = 4
FIRST_STEP = 4
"""The turn in which a window of four items moves for the first time."""


class WakeUps:
    """A queue that keeps what it is given: for each wake-up the session and the delay."""

    def __init__(self) -> None:
        self.sent: list[tuple[UUID, int]] = []

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str) -> None:
        self.sent.append((session_id, delay))


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@pytest.fixture
def queue() -> WakeUps:
    return WakeUps()


@pytest.fixture
def one_at_a_time(new_bench: NewBench, queue: WakeUps) -> Callable[..., Workbench]:
    """Makes workbenches, which stand for workers, that make one summary at a time together."""

    def make(script: Callable[[Asked], Answer] = keeping_facts, **fields: Any) -> Workbench:
        given = {"memory_items": ITEMS, "summarised": True, "wake_queue": queue, **fields}
        return new_bench(script, **{"summaries_at_once": 1, **given})

    return make


NewWorker = Callable[..., Workbench]


def held(sql: psycopg.Connection) -> int:
    row = sql.execute(
        "SELECT coalesce(sum((SELECT count(*) FROM jsonb_each(held))), 0) FROM summary_places"
    ).fetchone()
    return int(row[0]) if row else 0


def let_pass(sql: psycopg.Connection) -> None:
    sql.execute("UPDATE sessions SET summarising_until = now() - interval '1 second'")


async def test_one_more_waits_and_its_worker_is_free(
    one_at_a_time: NewWorker, queue: WakeUps, sql: psycopg.Connection
) -> None:
    """Given a summary that is being made, then another is left for a while, nothing asked."""
    bench, other = one_at_a_time(), one_at_a_time()
    first, second = await talked(bench, FIRST_STEP), await talked(bench, FIRST_STEP)
    making = await taken(bench, first)
    queue.sent.clear()

    assert await other.summariser.take(second) is None

    assert queue.sent == [(second, SUMMARY_WAIT_SECONDS + 1)]
    assert other.model.asked == []
    failures, pause = sql.execute(
        "SELECT summarising_failures, extract(epoch FROM summarising_until - now())::float"
        " FROM sessions WHERE id = %s",
        [second],
    ).fetchone() or (1, 0)
    assert failures == 0
    assert 0 < pause <= SUMMARY_WAIT_SECONDS
    assert await other.summariser.take(second) is None, "it is left"
    assert len(queue.sent) == 1, "and nobody else is woken meanwhile"

    assert await bench.summariser.make(making, seconds=60)
    let_pass(sql)
    assert await other.summarise(second)
    assert held(sql) == 0


@pytest.mark.parametrize("how", ["fails", "cleared", "deleted"])
async def test_whatever_becomes_of_one_it_leaves_its_place(
    one_at_a_time: NewWorker, sql: psycopg.Connection, how: str
) -> None:
    def broken(asked: Asked) -> Answer:
        if asked.model == SUMMARIES and how == "fails":
            raise ValueError("broken")
        return keeping_facts(asked)

    bench = one_at_a_time(broken)
    first, second = await talked(bench, FIRST_STEP), await talked(bench, FIRST_STEP)
    making = await taken(bench, first)
    assert held(sql) == 1
    if how == "cleared":
        Forgetter(bench.sessions, lambda: bench.store, ITEMS).clear("alice", first)
    elif how == "deleted":
        bench.sessions.delete("alice", first)

    assert await bench.summariser.make(making, seconds=60) is False

    assert held(sql) == 0
    await taken(bench, second)


async def test_of_a_worker_that_died_the_place_is_free_when_its_time_is_up(
    one_at_a_time: NewWorker, sql: psycopg.Connection
) -> None:
    bench = one_at_a_time()
    first, second = await talked(bench, FIRST_STEP), await talked(bench, FIRST_STEP)
    await taken(bench, first)
    assert await bench.summariser.take(second) is None
    let_pass(sql)

    sql.execute(
        "UPDATE summary_places SET held = (SELECT jsonb_object_agg(key, value::float - %s)"
        " FROM jsonb_each(held))",
        [SUMMARY_LEASE_SECONDS],
    )

    await taken(bench, second)
    assert held(sql) == 1, "what is over is not kept"


async def test_workers_at_once_are_no_more_than_may_be(
    one_at_a_time: NewWorker, sql: psycopg.Connection
) -> None:
    bench = one_at_a_time()
    sessions = [await talked(bench, FIRST_STEP) for _ in range(4)]
    workers = [one_at_a_time(summaries_at_once=2) for _ in sessions]

    makings = await asyncio.gather(
        *(
            worker.summariser.take(session_id)
            for worker, session_id in zip(workers, sessions, strict=True)
        )
    )

    assert len([making for making in makings if making is not None]) == 2
    assert held(sql) == 2


async def test_one_that_is_narrowed_keeps_its_place(
    one_at_a_time: NewWorker, sql: psycopg.Connection
) -> None:
    bench = one_at_a_time()
    making = await taken(bench, await talked(bench, FIRST_STEP))

    narrower = bench.summaries.take(
        making.taken.session_id, ["todo"], max_bytes=20, instead=making.taken
    )

    assert getattr(narrower, "place", None) == making.taken.place
    assert held(sql) == 1


async def test_tokens_that_nobody_told_are_not_shown_as_none(one_at_a_time: NewWorker) -> None:
    """Given a server that tells no tokens, then what summaries took is unknown, and not 0."""

    def untold(asked: Asked) -> Answer:
        if asked.model != SUMMARIES:
            return say("ok")
        tell_tokens(None)
        return say("notes")

    bench = one_at_a_time(untold)
    session_id = await talked(bench, FIRST_STEP)

    assert await bench.summarise(session_id)

    told = bench.summaries.of_session("alice", session_id).usage.in_all
    assert (told.calls, told.input, told.output, told.uncounted) == (1, None, None, 1)
