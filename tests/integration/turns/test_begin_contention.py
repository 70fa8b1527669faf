"""Many begins at once: numbers without a gap, one turn at a time, everybody told the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import psycopg
import pytest

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.sessions import SessionRepository
from parley.repository.turns import Begun, NewSession, RunningTurn, TurnRepository, Usage
from parley_testing.run.at_length import times
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import held, request

THREADS = 8
ROUNDS = times(enough=8, full=25)
SESSION = NewSession(agent="todo", name="groceries", platform="cli", metadata={})


@pytest.fixture
def turns(database_url: str) -> Iterator[TurnRepository]:
    """A connection for each thread."""
    database = Database(lambda: database_url, statement_timeout=10, pool_size=THREADS)
    yield TurnRepository(database, window=100)
    database.close()


@pytest.fixture
def session_id(database: Database) -> UUID:
    session, _ = SessionRepository(database).create(
        new_id(), "alice", agent="todo", name=None, platform="cli", metadata={},
        idempotency_key=None, fingerprint=b"",
    )  # fmt: skip
    return session.id


def at_once(work: Callable[[int], Begun]) -> list[Begun]:
    """Do something in all threads, started together."""
    start = Barrier(THREADS, timeout=HANG_SECONDS)

    def one(thread: int) -> Begun:
        start.wait()
        return work(thread)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def test_of_many_begins_one_runs_and_the_others_learn_which(
    turns: TurnRepository, session_id: UUID, sql: psycopg.Connection
) -> None:
    for number in range(1, ROUNDS + 1):
        answers = at_once(lambda _: turns.begin(request(session_id)))

        (winner,) = (answer for answer in answers if answer.outcome == "running")
        losers = [answer for answer in answers if answer is not winner]
        assert {(loser.outcome, loser.turn_id) for loser in losers} == {("busy", winner.turn_id)}
        assert held(winner).number == number
        assert turns.complete(held(winner), "hi", Usage(), None)
    numbers = sql.execute("SELECT array_agg(number ORDER BY number) FROM turns").fetchone()
    assert numbers == (list(range(1, ROUNDS + 1)),)


def test_threads_that_begin_and_complete_leave_no_gap(
    turns: TurnRepository, session_id: UUID, sql: psycopg.Connection
) -> None:
    running: set[UUID] = set()
    overlaps: list[UUID] = []

    def work(_: int) -> int:
        done = 0
        for _ in range(times(enough=10, full=30)):
            begun = turns.begin(request(session_id))
            assert begun.outcome in ("running", "busy")
            if begun.turn is None:
                assert begun.turn_id is not None
                continue
            overlaps.extend(running)
            running.add(begun.turn.id)
            running.discard(begun.turn.id)
            assert turns.complete(begun.turn, "hi", Usage(), None)
            done += 1
        return done

    with ThreadPoolExecutor(THREADS) as pool:
        completed = sum(pool.map(work, range(THREADS)))

    assert overlaps == []
    row = sql.execute("SELECT count(*), max(number), min(number) FROM turns").fetchone()
    assert row == (completed, completed, 1)
    assert sql.execute("SELECT next_number FROM sessions").fetchone() == (completed + 1,)


def test_one_key_makes_one_turn(
    turns: TurnRepository, session_id: UUID, sql: psycopg.Connection
) -> None:
    for round_ in range(ROUNDS):
        answers = at_once(lambda _, key=f"k{round_}": turns.begin(request(session_id, key=key)))  # type: ignore[misc]

        (winner,) = (answer for answer in answers if answer.outcome == "running")
        losers = [answer for answer in answers if answer is not winner]
        assert {(loser.outcome, loser.turn_id) for loser in losers} == {("prior", winner.turn_id)}
        turns.complete(held(winner), "hi", Usage(), None)
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (ROUNDS,)


def test_one_name_makes_one_session(turns: TurnRepository, sql: psycopg.Connection) -> None:
    answers = at_once(lambda _: turns.begin(request(new_id(), opens=SESSION)))

    (winner,) = (answer for answer in answers if answer.outcome == "running")
    assert {answer.session_id for answer in answers} == {winner.session_id}
    assert {answer.turn_id for answer in answers} == {winner.turn_id}
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_one_key_makes_one_nameless_session(turns: TurnRepository, sql: psycopg.Connection) -> None:
    nameless = NewSession(agent="todo", name=None, platform="cli", metadata={})

    answers = at_once(lambda _: turns.begin(request(new_id(), key="k", opens=nameless)))

    assert sorted(answer.outcome for answer in answers) == ["prior"] * 7 + ["running"]
    assert len({answer.turn_id for answer in answers}) == 1
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_the_queue_keeps_its_limit(
    turns: TurnRepository, session_id: UUID, sql: psycopg.Connection
) -> None:
    turns.begin(request(session_id))

    outcomes: list[str] = []
    for _ in range(4):
        answers = at_once(lambda _: turns.begin(request(session_id), enqueue=True))
        outcomes += [answer.outcome for answer in answers]

    assert (outcomes.count("queued"), outcomes.count("queue_full")) == (20, 12)
    row = sql.execute("SELECT count(*), max(number) FROM turns").fetchone()
    assert row == (21, 21)


def test_of_many_takeovers_one_wins(
    turns: TurnRepository,
    session_id: UUID,
    expire: Callable[[UUID], None],
) -> None:
    turn = held(turns.begin(request(session_id)))
    for attempt in range(2, ROUNDS + 2):
        expire(turn.id)

        answers = at_once(lambda _: turns.begin(request(session_id)))

        (winner,) = (answer for answer in answers if answer.turn is not None)
        assert (winner.outcome, held(winner).attempt) == ("resume", attempt)
        others = {(answer.outcome, answer.turn_id) for answer in answers if answer is not winner}
        assert others == {("busy", turn.id)}


def test_of_many_takeovers_by_the_turns_own_request_one_wins(
    turns: TurnRepository, session_id: UUID, expire: Callable[[UUID], None]
) -> None:
    for _ in range(ROUNDS):
        wanted = request(session_id)
        turn: RunningTurn = held(turns.begin(wanted))
        expire(turn.id)

        answers = at_once(lambda _, wanted=wanted: turns.begin(wanted))  # type: ignore[misc]

        (winner,) = (answer for answer in answers if answer.turn is not None)
        assert held(winner).attempt == 2
        turns.complete(held(winner), "hi", Usage(), None)
