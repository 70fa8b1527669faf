"""Many claims at once, and claims beside begins, cancels and deletions: one turn at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Lock
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from parley.ids import new_id
from parley.repository.cancel import request_cancel
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.sessions import SessionRepository
from parley.repository.turns import HeadClaim, RunningTurn, TurnRepository, Usage
from parley_testing.run.at_length import times
from parley_testing.stores.turn_keys import pairs
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import request

THREADS = 8
ROUNDS = times(enough=20, full=60)


@pytest.fixture
def shared(database_url: str) -> Iterator[Database]:
    """A connection for each thread."""
    database = Database(lambda: database_url, statement_timeout=10, pool_size=THREADS)
    yield database
    database.close()


@pytest.fixture
def turns(shared: Database) -> TurnRepository:
    return TurnRepository(shared, window=100)


@pytest.fixture
def new_session(database: Database) -> Callable[[], UUID]:
    sessions = SessionRepository(database)

    def make() -> UUID:
        session, _ = sessions.create(
            new_id(), "alice", agent="todo", name=None, platform="cli", metadata={},
            idempotency_key=None, fingerprint=b"",
        )  # fmt: skip
        return session.id

    return make


def queue(turns: TurnRepository, session_id: UUID) -> UUID:
    begun = turns.begin(request(session_id), queue=True, enqueue=True)
    assert begun.outcome == "queued"
    assert begun.turn_id is not None
    return begun.turn_id


def together(*work: Callable[[], Any]) -> list[Any]:
    """Do different things, started at the same moment."""
    start = Barrier(len(work), timeout=HANG_SECONDS)

    def one(do: Callable[[], Any]) -> Any:
        start.wait()
        return do()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(one, work))


def no_deadlock(sql: psycopg.Connection) -> bool:
    row = sql.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    return row == (0,)


@pytest.mark.parametrize("expired", [False, True])
def test_of_many_claims_one_wins(
    turns: TurnRepository,
    new_session: Callable[[], UUID],
    expire: Callable[[UUID], None],
    expired: bool,
) -> None:
    for _ in range(times(enough=8, full=20)):
        session_id = new_session()
        turn_id = queue(turns, session_id)
        if expired:
            assert turns.claim_head(session_id).turn
            expire(turn_id)

        claims = together(*[partial(turns.claim_head, session_id)] * THREADS)

        (winner,) = (claim for claim in claims if claim.outcome == "claimed")
        assert winner.turn.id == turn_id
        assert (winner.turn.attempt, winner.turn.crashes) == ((2, 1) if expired else (1, 0))
        assert [claim for claim in claims if claim is not winner] == [HeadClaim("held")] * 7


def test_workers_beside_senders_run_every_turn_once_and_in_order(
    turns: TurnRepository, new_session: Callable[[], UUID], sql: psycopg.Connection
) -> None:
    session_id = new_session()
    ran: list[int] = []
    running: list[int] = []
    at_once: list[tuple[int, ...]] = []
    lock = Lock()

    def run(turn: RunningTurn) -> None:
        with lock:
            running.append(turn.number)
            at_once.append(tuple(running))
            ran.append(turn.number)
        # What it may see is all that came before it.
        assert pairs(turn.remembered) == [(n, 1) for n in range(turn.number - 1, 0, -1)][:100]
        with lock:
            running.remove(turn.number)
        assert turns.complete(turn, "hi", Usage(), None)

    def send() -> int:
        taken = 0
        for n in range(times(enough=12, full=30)):
            begun = turns.begin(request(session_id), enqueue=n % 2 == 0, queue=n % 3 == 0)
            taken += begun.outcome in ("running", "queued")
            assert begun.outcome in ("running", "queued", "busy", "queue_full")
            if begun.turn is not None:
                run(begun.turn)
        return taken

    def work() -> int:
        for _ in range(times(enough=24, full=60)):
            claim = turns.claim_head(session_id)
            if claim.turn is not None:
                run(claim.turn)
        return 0

    taken = sum(together(*[send] * 4, *[work] * 4))
    while (claim := turns.claim_head(session_id)).turn is not None:
        run(claim.turn)

    assert ran == list(range(1, taken + 1))
    assert max(map(len, at_once)) == 1
    assert sql.execute("SELECT DISTINCT status, attempt, crashes FROM turns").fetchall() == [
        ("completed", 1, 0)
    ]
    assert no_deadlock(sql)


def test_a_claim_and_a_begin_that_takes_over_do_not_both_get_the_turn(
    turns: TurnRepository,
    new_session: Callable[[], UUID],
    expire: Callable[[UUID], None],
) -> None:
    for _ in range(ROUNDS):
        session_id = new_session()
        turn_id = queue(turns, session_id)
        assert turns.claim_head(session_id).turn
        expire(turn_id)
        wanted = request(session_id)

        claim, begun = together(
            partial(turns.claim_head, session_id),
            partial(turns.begin, wanted),
        )

        held = [turn for turn in (claim.turn, begun.turn) if turn is not None]
        assert [(turn.id, turn.attempt) for turn in held] == [(turn_id, 2)]
        assert (claim.outcome, begun.outcome) in (("claimed", "busy"), ("held", "resume"))


def test_a_claim_and_a_cancel_leave_one_of_them_with_the_turn(
    turns: TurnRepository,
    shared: Database,
    new_session: Callable[[], UUID],
    sql: psycopg.Connection,
) -> None:
    seen = set()
    for _ in range(ROUNDS):
        session_id = new_session()
        turn_id = queue(turns, session_id)

        claim, asked = together(
            partial(turns.claim_head, session_id),
            partial(request_cancel, shared, "alice", session_id, turn_id),
        )

        seen.add(claim.outcome)
        if claim.turn is None:
            assert (claim.outcome, asked.ended) == ("none", True)
        else:
            # It was taken over at once: the claim's attempt may write nothing any more.
            assert asked.turn is not None
            assert (claim.turn.attempt, asked.turn.attempt) == (1, 2)
            assert turns.complete(claim.turn, "hi", Usage(), None) is None
    assert seen <= {"none", "claimed"}
    assert no_deadlock(sql)


def test_a_claim_and_a_deletion_race_without_a_deadlock(
    turns: TurnRepository,
    shared: Database,
    new_session: Callable[[], UUID],
    sql: psycopg.Connection,
) -> None:
    sessions = SessionRepository(shared)
    for _ in range(times(enough=30, full=100)):
        session_id = new_session()
        for _ in range(2):
            queue(turns, session_id)
        delete = partial(sessions.delete, "alice", session_id)

        claim, other, _ = together(*[partial(turns.claim_head, session_id)] * 2, delete)

        assert {claim.outcome, other.outcome} <= {"claimed", "held", "none"}
        assert turns.claim_head(session_id) == HeadClaim("none")
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    assert no_deadlock(sql)


def test_a_claim_and_the_end_of_its_session_are_one_after_the_other(
    turns: TurnRepository,
    shared: Database,
    new_session: Callable[[], UUID],
    sql: psycopg.Connection,
) -> None:
    end = text("UPDATE sessions SET status = 'ended' WHERE id = :id")
    for _ in range(ROUNDS):
        session_id = new_session()
        turn_id = queue(turns, session_id)

        claim, _ = together(
            partial(turns.claim_head, session_id),
            partial(shared.run, OfUser("alice"), end, {"id": session_id}),
        )

        row = sql.execute(
            "SELECT status, error_code FROM turns WHERE id = %s", (turn_id,)
        ).fetchone()
        assert (claim.outcome, row) in (
            ("claimed", ("running", None)),
            ("refused", ("failed", "session_not_active")),
        )
    assert no_deadlock(sql)


def test_a_claim_whose_picture_is_out_of_date_looks_again(
    turns: TurnRepository,
    new_session: Callable[[], UUID],
    sql: psycopg.Connection,
) -> None:
    # Held up by the session's lock, it had seen the first turn waiting; meanwhile that one has run.
    session_id = new_session()
    first, second = queue(turns, session_id), queue(turns, session_id)
    with ThreadPoolExecutor(1) as pool:
        with sql.transaction():
            sql.execute("SELECT FROM sessions WHERE id = %s FOR UPDATE", (session_id,))
            claim = pool.submit(turns.claim_head, session_id)
            _until_somebody_waits_for_a_lock(sql)
            sql.execute(
                "UPDATE turns SET status = 'completed', attempt = 1, ended_at = now()"
                " WHERE id = %s",
                (first,),
            )
        found = claim.result(HANG_SECONDS)

    assert found.turn is not None
    assert (found.turn.id, found.turn.attempt) == (second, 1)


def _until_somebody_waits_for_a_lock(sql: psycopg.Connection) -> None:
    while not sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount:
        sql.execute("SELECT pg_sleep(0.01)")
