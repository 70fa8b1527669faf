"""An attempt that is replaced, and what it may still do: nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from uuid import UUID

import psycopg
import pytest

from parley.repository.database import Database
from parley.repository.turns import Ending, RunningTurn, Stopped, TurnRepository, Usage
from parley_testing.run.at_length import times
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench, held, request

CANCELLED = Ending("cancelled", "cancelled", "You stopped it.", remembered=False)
Expire = Callable[[UUID], None]


def take_over(bench: Workbench, turn: RunningTurn) -> RunningTurn:
    begun = bench.turns.begin(request(turn.session_id, "something else"))
    assert begun.outcome == "resume"
    return held(begun)


def test_an_expired_turn_goes_to_the_next_who_begins(bench: Workbench, expire: Expire) -> None:
    turn = bench.begin(bench.new_session(), "add buy milk", key="k")
    expire(turn.id)

    taken = take_over(bench, turn)

    assert taken == replace(turn, attempt=2, crashes=1)


def test_who_asks_with_the_turns_own_key_takes_it_over_too(
    bench: Workbench, expire: Expire
) -> None:
    turn = bench.begin(bench.new_session(), key="k")
    expire(turn.id)

    begun = bench.turns.begin(request(turn.session_id, key="k"))

    assert (begun.outcome, held(begun).id, held(begun).attempt) == ("resume", turn.id, 2)


def test_a_lease_that_runs_out_counts_as_a_crash_each_time(
    bench: Workbench, expire: Expire
) -> None:
    turn = bench.begin(bench.new_session())
    crashes = []
    for _ in range(3):
        expire(turn.id)
        turn = take_over(bench, turn)
        crashes.append(turn.crashes)

    assert crashes == [1, 2, 3]


def test_a_turn_that_is_let_go_of_goes_on_without_a_crash(bench: Workbench) -> None:
    turn = bench.begin(bench.new_session())

    assert bench.turns.release(turn)

    taken = take_over(bench, turn)
    assert (taken.attempt, taken.crashes) == (2, 0)


def test_a_lease_that_runs_is_not_taken_over(bench: Workbench) -> None:
    turn = bench.begin(bench.new_session())

    assert bench.turns.begin(request(turn.session_id)).outcome == "busy"


def test_renewing_holds_an_expired_turn_that_nobody_took(bench: Workbench, expire: Expire) -> None:
    turn = bench.begin(bench.new_session())
    expire(turn.id)

    assert bench.turns.renew(turn)

    assert bench.turns.begin(request(turn.session_id)).outcome == "busy"


def test_a_queued_turn_waits_for_the_expired_one_before_it(
    bench: Workbench, expire: Expire
) -> None:
    turn = bench.begin(bench.new_session())
    queued = request(turn.session_id, key="k")
    bench.turns.begin(queued, enqueue=True)
    expire(turn.id)

    begun = bench.turns.begin(replace(queued, turn_id=queued.message_id), enqueue=True)

    assert (begun.outcome, begun.turn_id) == ("resume", turn.id)


@pytest.mark.parametrize(
    "write",
    [
        lambda bench, turn: bench.turns.complete(turn, "too late", Usage(9, 9, 9), "digest"),
        lambda bench, turn: bench.turns.stop(turn, CANCELLED, Usage(9, 9, 9), "digest"),
        lambda bench, turn: bench.turns.renew(turn),
        lambda bench, turn: bench.turns.release(turn),
        lambda bench, turn: bench.turns.fence(turn),
    ],
    ids=["complete", "stop", "renew", "release", "fence"],
)
def test_a_replaced_attempt_writes_nothing(
    bench: Workbench,
    expire: Expire,
    sql: psycopg.Connection,
    write: Callable[[Workbench, RunningTurn], object],
) -> None:
    turn = bench.begin(bench.new_session())
    expire(turn.id)
    take_over(bench, turn)
    before = sql.execute("SELECT * FROM turns, messages").fetchall()

    assert not write(bench, turn)

    assert sql.execute("SELECT * FROM turns, messages").fetchall() == before


@pytest.mark.parametrize("over", ["completed", "stopped", "deleted"])
def test_a_turn_that_is_over_stays_as_it_ended(
    bench: Workbench, sql: psycopg.Connection, over: str
) -> None:
    turn = bench.begin(bench.new_session())
    if over == "completed":
        bench.turns.complete(turn, "hi", Usage(), None)
    elif over == "stopped":
        bench.turns.stop(turn, CANCELLED, Usage(), None)
    else:
        bench.sessions.delete("alice", turn.session_id)
    before = sql.execute("SELECT * FROM turns").fetchall()

    assert not bench.turns.stop(turn, replace(CANCELLED, code="another"), Usage(), None)
    assert not bench.turns.renew(turn)
    assert not bench.turns.release(turn)
    assert bench.turns.fence(turn) is None
    if over != "completed":
        assert bench.turns.complete(turn, "hi", Usage(), None) is None
    assert sql.execute("SELECT * FROM turns").fetchall() == before


def test_completing_twice_gives_the_same_answer(bench: Workbench, sql: psycopg.Connection) -> None:
    turn = bench.begin(bench.new_session())

    first = bench.turns.complete(turn, "hi", Usage(1, 2, 3), "digest")
    again = bench.turns.complete(turn, "hi", Usage(1, 2, 3), "digest")

    assert first == again
    assert first is not None
    replies = sql.execute("SELECT id, content FROM messages WHERE role = 'assistant'").fetchall()
    assert replies == [(first.message_id, "hi")]


def test_stopping_twice_gives_the_same_answer(bench: Workbench, sql: psycopg.Connection) -> None:
    turn = bench.begin(bench.new_session())
    bench.turns.begin(request(turn.session_id), enqueue=True)

    first = bench.turns.stop(turn, CANCELLED, Usage(1, 2, 3), "digest")
    before = sql.execute("SELECT * FROM turns").fetchall()
    again = bench.turns.stop(turn, CANCELLED, Usage(1, 2, 3), "digest")

    assert first == again == Stopped(more=True)
    assert sql.execute("SELECT * FROM turns").fetchall() == before


@pytest.mark.parametrize("waiting", [0, 2])
def test_who_ends_a_turn_learns_whether_another_waits(bench: Workbench, waiting: int) -> None:
    turns = [bench.begin(bench.new_session()) for _ in range(2)]
    for turn in turns:
        for _ in range(waiting):
            bench.turns.begin(request(turn.session_id), enqueue=True)

    stopped = bench.turns.stop(turns[0], CANCELLED, Usage(), None)
    completions = [bench.turns.complete(turns[1], "hi", Usage(), None) for _ in range(2)]

    assert stopped == Stopped(more=waiting > 0)
    assert [done is not None and done.more for done in completions] == [waiting > 0] * 2


def test_completing_tells_usage_and_vouches_for_memory(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    turn = bench.begin(bench.new_session())

    bench.turns.complete(turn, "hi", Usage(1, 2, 3), "digest")

    row = sql.execute(
        "SELECT status, remembered, lease_expires_at, agent_digest,"
        " model_calls, input_tokens, output_tokens FROM turns"
    ).fetchone()
    assert row == ("completed", True, None, "digest", 1, 2, 3)


def test_completing_and_deleting_race_without_a_deadlock(
    bench: Workbench, database_url: str, sql: psycopg.Connection
) -> None:
    database = Database(lambda: database_url, statement_timeout=10, pool_size=2)
    turns = TurnRepository(database, window=100)
    start = Barrier(2, timeout=HANG_SECONDS)

    def complete(turn: RunningTurn) -> bool:
        start.wait()
        return turns.complete(turn, "hi", Usage(), None) is not None

    def delete(turn: RunningTurn) -> None:
        start.wait()
        bench.sessions.delete("alice", turn.session_id)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(times(enough=40, full=150)):
            turn = bench.begin(bench.new_session())
            completing, deleting = pool.submit(complete, turn), pool.submit(delete, turn)
            deleting.result()
            completing.result()  # completed before the deletion, or not at all: no error
    database.close()

    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    assert sql.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    assert sql.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
                       ).fetchone() == (0,)  # fmt: skip
