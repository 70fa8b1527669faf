"""The claim of a queue's head: each of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest

from parley.errors import StoreUnavailable
from parley.ids import new_id
from parley.repository.cancel import request_cancel
from parley.repository.database import Database
from parley.repository.turns import Ending, HeadClaim, RunningTurn, TurnRepository, Usage
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.stores.turn_keys import pairs
from parley_testing.waiting import wait_for
from parley_testing.workbench import Workbench, request

Expire = Callable[[UUID], None]
CLAIM = "claimed AS"


@dataclass(frozen=True)
class Wired:
    """Turns whose way to the database is watched."""

    wire: PostgresWire
    turns: TurnRepository


@pytest.fixture
def wired(database_url: str) -> Iterator[Wired]:
    with (
        PostgresWire(database_url) as wire,
        closing(Database(lambda: wire.url, statement_timeout=10)) as database,
    ):
        yield Wired(wire, TurnRepository(database, window=10))


def queue(bench: Workbench, session_id: UUID, text: str = "hello") -> UUID:
    begun = bench.turns.begin(request(session_id, text), queue=True, enqueue=True)
    assert begun.outcome == "queued"
    assert begun.turn_id is not None
    return begun.turn_id


def claimed(bench: Workbench, session_id: UUID) -> RunningTurn:
    claim = bench.turns.claim_head(session_id)
    assert claim.outcome == "claimed"
    assert claim.turn is not None
    return claim.turn


def test_a_turn_starts_when_it_is_taken_and_not_when_it_was_asked_for(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    """The turn before it may end meanwhile, and would seem to overlap with it."""
    session_id = bench.new_session()
    queue(bench, session_id)
    with ThreadPoolExecutor(1) as threads, sql.transaction():
        sql.execute("SELECT FROM sessions WHERE id = %s FOR NO KEY UPDATE", [session_id])
        claiming = threads.submit(claimed, bench, session_id)
        wait_for(lambda: sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount)
        (ended_at,) = sql.execute("SELECT clock_timestamp()").fetchall()[0]

    assert claiming.result().started_at >= ended_at


def test_a_turn_that_waits_is_claimed(bench: Workbench, sql: psycopg.Connection) -> None:
    wanted = request(bench.new_session(), "add milk")
    bench.turns.begin(wanted, queue=True)

    turn = claimed(bench, wanted.session_id)

    assert (turn.id, turn.session_id, turn.user_id) == (wanted.turn_id, wanted.session_id, "alice")
    assert (turn.message_id, turn.text, turn.agent) == (wanted.message_id, "add milk", "todo")
    assert (turn.number, turn.attempt, turn.crashes) == (1, 1, 0)
    assert (turn.remembered, turn.cancel_requested) == ((), False)
    row = sql.execute(
        "SELECT status, attempt, crashes, started_at > created_at, started_at,"
        " lease_expires_at - started_at BETWEEN interval '44 s' AND interval '46 s' FROM turns"
    ).fetchone()
    assert row == ("running", 1, 0, True, turn.started_at, True)
    assert bench.turns.complete(turn, "hi", Usage(), None)


def test_it_is_one_round_trip(bench: Workbench, wired: Wired) -> None:
    session_id = bench.new_session()
    queue(bench, session_id)
    assert wired.turns.claim_head(new_id()).outcome == "none"  # it is connected
    wired.wire.reset()

    assert wired.turns.claim_head(session_id).outcome == "claimed"

    assert wired.wire.round_trips == 1


def test_turns_are_claimed_in_their_order(bench: Workbench) -> None:
    session_id = bench.new_session()
    ids = [queue(bench, session_id, f"{n}") for n in range(5)]

    found = []
    for _ in ids:
        turn = claimed(bench, session_id)
        found.append(turn.id)
        assert bench.turns.claim_head(session_id) == HeadClaim("held")
        bench.turns.complete(turn, "hi", Usage(), None)

    assert found == ids
    assert bench.turns.claim_head(session_id) == HeadClaim("none")


def test_it_tells_which_turns_left_memory(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    for _ in range(3):
        bench.turns.complete(bench.begin(session_id), "hi", Usage(), None)
    turn = bench.begin(session_id)
    bench.turns.stop(turn, Ending("failed", "x", "x", remembered=False), Usage(), None)
    sql.execute("UPDATE sessions SET memory_from = 2")
    queue(bench, session_id)

    assert pairs(claimed(bench, session_id).remembered) == [(3, 1), (2, 1)]


def test_of_one_more_turn_than_a_window_can_have(new_bench: Callable[..., Workbench]) -> None:
    bench = new_bench(memory_items=4)
    session_id = bench.new_session()
    for _ in range(4):
        bench.turns.complete(bench.begin(session_id), "hi", Usage(), None)
    queue(bench, session_id)

    assert pairs(claimed(bench, session_id).remembered) == [(4, 1), (3, 1), (2, 1)]


def test_of_no_turn_before_the_window(bench: Workbench) -> None:
    session_id = bench.new_session()
    bench.turns.complete(bench.begin(session_id), "hi", Usage(), None)
    bench.turns.complete(bench.begin(session_id), "hi", Usage(), None, window_from=2)
    queue(bench, session_id)

    assert pairs(claimed(bench, session_id).remembered) == [(2, 1)]


def test_a_turn_that_runs_is_held(bench: Workbench, sql: psycopg.Connection) -> None:
    turn = bench.begin(bench.new_session())
    queue(bench, turn.session_id)
    before = sql.execute("SELECT * FROM turns ORDER BY number").fetchall()

    assert bench.turns.claim_head(turn.session_id) == HeadClaim("held")
    assert sql.execute("SELECT * FROM turns ORDER BY number").fetchall() == before


@pytest.mark.parametrize("released", [False, True])
def test_a_turn_whose_lease_is_over_is_claimed_before_those_that_wait(
    bench: Workbench, expire: Expire, released: bool
) -> None:
    turn = bench.begin(bench.new_session())
    queue(bench, turn.session_id)
    if released:
        bench.turns.release(turn)
    else:
        expire(turn.id)

    again = claimed(bench, turn.session_id)

    assert (again.id, again.attempt, again.crashes) == (turn.id, 2, 0 if released else 1)
    assert (again.started_at, again.created_at) == (turn.started_at, turn.created_at)


def test_a_turn_that_was_claimed_and_died_is_claimed_again(
    bench: Workbench, expire: Expire
) -> None:
    session_id = bench.new_session()
    queue(bench, session_id)
    first = claimed(bench, session_id)
    expire(first.id)

    again = claimed(bench, session_id)

    assert (again.id, again.attempt, again.crashes) == (first.id, 2, 1)
    assert again.started_at == first.started_at


def test_a_turn_that_is_to_be_cancelled_is_claimed_as_such(
    bench: Workbench, expire: Expire
) -> None:
    turn = bench.begin(bench.new_session())
    request_cancel(bench.database, "alice", turn.session_id, turn.id)
    expire(turn.id)

    assert claimed(bench, turn.session_id).cancel_requested


def test_a_turn_that_was_cancelled_while_it_waited_is_passed_over(bench: Workbench) -> None:
    session_id = bench.new_session()
    first, second = queue(bench, session_id), queue(bench, session_id)
    assert request_cancel(bench.database, "alice", session_id, first).ended

    assert claimed(bench, session_id).id == second


def test_of_a_session_without_open_turns_there_is_none(bench: Workbench) -> None:
    session_id = bench.new_session()
    bench.turns.complete(bench.begin(session_id), "hi", Usage(), None)

    assert bench.turns.claim_head(session_id) == HeadClaim("none")
    assert bench.turns.claim_head(new_id()) == HeadClaim("none")


def test_another_sessions_turns_are_not_touched(bench: Workbench) -> None:
    queue(bench, bench.new_session())

    assert bench.turns.claim_head(bench.new_session()) == HeadClaim("none")


@pytest.mark.parametrize("status", ["ended", "escalated"])
def test_what_waits_in_a_session_that_is_not_active_fails_one_by_one(
    bench: Workbench, sql: psycopg.Connection, status: str
) -> None:
    session_id = bench.new_session()
    for _ in range(2):
        queue(bench, session_id)
    sql.execute("UPDATE sessions SET status = %s", (status,))

    outcomes = [bench.turns.claim_head(session_id) for _ in range(3)]

    assert outcomes == [HeadClaim("refused"), HeadClaim("refused"), HeadClaim("none")]
    rows = sql.execute(
        "SELECT status, attempt, error_code, error_detail <> '', ended_at IS NOT NULL,"
        " started_at, lease_expires_at, remembered FROM turns"
    ).fetchall()
    assert rows == [("failed", 0, "session_not_active", True, True, None, None, False)] * 2


def test_a_turn_that_ran_is_carried_on_though_its_session_is_not_active(
    bench: Workbench, expire: Expire, sql: psycopg.Connection
) -> None:
    turn = bench.begin(bench.new_session())
    expire(turn.id)
    sql.execute("UPDATE sessions SET status = 'ended'")

    assert claimed(bench, turn.session_id).id == turn.id


def test_of_a_claim_whose_answer_was_lost_it_does_not_say_that_another_holds_the_turn(
    bench: Workbench, wired: Wired, expire: Expire
) -> None:
    session_id = bench.new_session()
    turn_id = queue(bench, session_id)
    wired.wire.lose_answer(CLAIM)

    with pytest.raises(StoreUnavailable):
        wired.turns.claim_head(session_id)

    assert wired.turns.claim_head(session_id) == HeadClaim("held")
    expire(turn_id)
    assert claimed(bench, session_id).attempt == 2


def test_a_claim_that_did_not_arrive_is_made_by_the_next_try(
    bench: Workbench, wired: Wired
) -> None:
    session_id = bench.new_session()
    turn_id = queue(bench, session_id)
    wired.wire.drop(CLAIM)

    turn = wired.turns.claim_head(session_id).turn

    assert turn is not None
    assert (turn.id, turn.attempt) == (turn_id, 1)
