"""A process dies at any point of making a summary, and another makes it; on both stores.

Every write of it stands between points, so these are all the places in which it can die.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley import failpoints
from parley.cleanup.forgetting import Forgetter
from parley.ids import SUMMARY_NUMBER, conversation_key
from parley.memory.store import AgentSessionStore
from parley_testing.models.notes import facts_in, keeping_facts
from parley_testing.run.at_length import some
from parley_testing.scenarios.summaries import talked
from parley_testing.schedules.faults import Course, ProcessDied
from parley_testing.workbench import SUMMARIES, Workbench

# A window of four items moves in the fourth turn, and leaves two behind.
TURNS = 4
FACTS = ["fact-1", "fact-2"]


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@pytest.fixture
def process(new_bench: Callable[..., Workbench]) -> Callable[[], Workbench]:
    """Makes processes with summaries, whose windows hold four items."""
    return lambda: new_bench(keeping_facts, memory_items=4, summarised=True)


async def passed(bench: Workbench) -> list[str]:
    """The points of a whole making, in their order."""
    points: list[str] = []
    session_id = await talked(bench, TURNS)
    with failpoints.observed(points.append):
        assert await bench.summarise(session_id)
    return points


async def dies(bench: Workbench, session_id: UUID, at: int) -> None:
    course = Course(dies_at=at)
    with failpoints.observed(course), pytest.raises(ProcessDied):
        await bench.summarise(session_id)
    assert course.dead


def paid(*benches: Workbench) -> int:
    return sum(asked.model == SUMMARIES for bench in benches for asked in bench.model.asked)


def let_lease_run_out(sql: psycopg.Connection) -> None:
    sql.execute("UPDATE sessions SET summarising_until = now() - interval '1 second'")


async def settle(bench: Workbench, session_id: UUID, sql: psycopg.Connection) -> None:
    """Let the dead one's lease run out, and a worker of the next wake-up do what is left."""
    let_lease_run_out(sql)
    while await bench.summarise(session_id):
        pass


def elsewhere(work: Callable[..., Any], *arguments: Any) -> None:
    """Do something to its end while the caller's process stands still."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work(*arguments)).result()


def forget(bench: Workbench, session_id: UUID, what: str) -> None:
    """Clear a session's memory, or delete the session."""
    forgetter = Forgetter(bench.sessions, lambda: bench.store, 4)
    getattr(forgetter, what)("alice", session_id)


def summaries(bench: Workbench, session_id: UUID) -> list[Any]:
    turns = bench.store.read_newest(conversation_key("alice", session_id), None, consistent=True)
    return [turn for turn in turns if turn.number == SUMMARY_NUMBER]


async def test_killed_anywhere_it_is_made_all_the_same(
    process: Callable[[], Workbench], sql: psycopg.Connection
) -> None:
    points = await passed(process())
    recorded = points.index("before SummaryRepository.keep") - 1

    for place, point in some([*enumerate(points)], one_in=3):
        first, second = process(), process()
        session_id = await talked(first, TURNS)
        await dies(first, session_id, place)

        await settle(second, session_id, sql)

        await second.send(session_id, "and now?")
        shown = second.model.asked[-1].input[0]["content"]
        assert facts_in(shown) == FACTS, f"killed {point}"
        if place >= recorded:
            assert paid(first, second) == 1, f"paid for again, though it was recorded: {point}"
        assert paid(first, second) <= 2
        assert len(summaries(second, session_id)) == 1, f"killed {point}"


@pytest.mark.parametrize("what", ["clear", "delete"])
async def test_killed_anywhere_it_does_not_come_back(
    process: Callable[[], Workbench], sql: psycopg.Connection, what: str
) -> None:
    points = await passed(process())

    for place, point in some([*enumerate(points)], one_in=3, first=1 if what == "clear" else 2):
        first, second = process(), process()
        session_id = await talked(first, TURNS)
        await dies(first, session_id, place)

        forget(second, session_id, what)

        held = second.store.weigh(conversation_key("alice", session_id))
        assert held.turns == 0, f"killed {point}"
        if what == "clear":
            await settle(second, session_id, sql)
            await second.send(session_id, "and now?")
            assert [item["content"] for item in second.model.asked[-1].input] == ["and now?"]


@pytest.mark.parametrize("what", ["clear", "delete"])
async def test_cleared_or_deleted_at_any_point_it_does_not_come_back(
    process: Callable[[], Workbench], sql: psycopg.Connection, what: str
) -> None:
    points = await passed(process())

    for place, point in some([*enumerate(points)], one_in=3, first=2 if what == "clear" else 0):
        first, second = process(), process()
        session_id = await talked(first, TURNS)
        course = Course(freezes_at=place)
        course.meanwhile = partial(forget, second, session_id, what)
        with failpoints.observed(course):
            await first.summarise(session_id)
        assert not course.problems

        held = second.store.weigh(conversation_key("alice", session_id))
        assert held.turns == 0, f"{what} {point}"
        if what == "clear":
            await second.send(session_id, "and now?")
            assert [item["content"] for item in second.model.asked[-1].input] == ["and now?"]


async def test_replaced_at_any_point_it_leaves_what_the_other_has_made(
    process: Callable[[], Workbench], sql: psycopg.Connection
) -> None:
    """A process is frozen, replaced, and goes on: a zombie."""
    points = await passed(process())

    for place, point in some([*enumerate(points)], one_in=3, first=1):
        first, second = process(), process()
        session_id = await talked(first, TURNS)
        course = Course(freezes_at=place)
        course.meanwhile = partial(elsewhere, settle, second, session_id, sql)
        with failpoints.observed(course):
            await first.summarise(session_id)
        assert not course.problems

        await settle(second, session_id, sql)
        await second.send(session_id, "and now?")
        assert facts_in(second.model.asked[-1].input[0]["content"]) == FACTS, f"frozen {point}"
        assert len(summaries(second, session_id)) == 1, f"frozen {point}"
