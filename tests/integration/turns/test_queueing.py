"""Turns that are left for a worker: when one is made, and what becomes of who asks again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from parley.ids import new_id
from parley.repository.begin import MAX_QUEUED
from parley.repository.turns import NewSession, Usage
from parley_testing.workbench import Workbench, request

Expire = Callable[[UUID], None]


def test_an_expired_turn_is_not_taken_over_and_not_in_the_way(
    bench: Workbench, expire: Expire, sql: psycopg.Connection
) -> None:
    turn = bench.begin(bench.new_session())
    expire(turn.id)

    begun = bench.turns.begin(request(turn.session_id), queue=True)

    assert (begun.outcome, begun.turn) == ("queued", None)
    rows = sql.execute("SELECT number, status, attempt FROM turns ORDER BY number").fetchall()
    assert rows == [(1, "running", 1), (2, "queued", 0)]


@pytest.mark.parametrize("enqueue", [False, True])
def test_behind_a_turn_that_runs_it_must_be_asked_for(bench: Workbench, enqueue: bool) -> None:
    turn = bench.begin(bench.new_session())
    wanted = request(turn.session_id)

    begun = bench.turns.begin(wanted, queue=True, enqueue=enqueue)

    told = (begun.outcome, begun.turn_id)
    assert told == (("queued", wanted.turn_id) if enqueue else ("busy", turn.id))


@pytest.mark.parametrize("expired", [False, True])
def test_behind_a_turn_that_waits_it_must_be_asked_for(
    bench: Workbench, expire: Expire, expired: bool
) -> None:
    session_id = bench.new_session()
    if expired:
        expire(bench.begin(session_id).id)
    bench.turns.begin(request(session_id), queue=True)

    refused = bench.turns.begin(request(session_id), queue=True)
    accepted = bench.turns.begin(request(session_id), queue=True, enqueue=True)

    assert (refused.outcome, accepted.outcome) == ("busy", "queued")


def test_no_more_wait_than_may(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    for _ in range(MAX_QUEUED):
        begun = bench.turns.begin(request(session_id), queue=True, enqueue=True)
        assert begun.outcome == "queued"

    begun = bench.turns.begin(request(session_id), queue=True, enqueue=True)

    assert begun.outcome == "queue_full"
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (MAX_QUEUED,)


def test_a_session_that_is_not_active_takes_none(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    sql.execute("UPDATE sessions SET status = 'ended'")

    assert bench.turns.begin(request(session_id), queue=True).outcome == "not_active"


@pytest.mark.parametrize("own", [False, True])
def test_the_same_key_finds_its_turn_and_takes_nothing_over(
    bench: Workbench, expire: Expire, sql: psycopg.Connection, own: bool
) -> None:
    session_id = bench.new_session()
    head = bench.begin(session_id, key="k" if own else None)
    if not own:
        bench.turns.begin(request(session_id, key="k"), enqueue=True)
    expire(head.id)

    begun = bench.turns.begin(request(session_id, key="k"), queue=True)

    assert (begun.outcome, begun.status) == ("prior", "running" if own else "queued")
    assert begun.turn is None
    assert sql.execute("SELECT attempt FROM turns WHERE number = 1").fetchone() == (1,)


def test_a_reused_key_is_refused(bench: Workbench) -> None:
    session_id = bench.new_session()
    bench.turns.begin(request(session_id, "hello", key="k"), queue=True)

    begun = bench.turns.begin(request(session_id, "goodbye", key="k"), queue=True)

    assert begun.outcome == "key_reused"


def test_a_first_message_may_be_left_for_a_worker(bench: Workbench) -> None:
    opens = NewSession(agent="todo", name="groceries", platform="cli", metadata={})
    wanted = request(new_id(), opens=opens)

    first, again = (bench.turns.begin(wanted, queue=True) for _ in range(2))

    assert (first.outcome, first.status, again.outcome) == ("queued", "queued", "prior")
    assert first.session_id == again.session_id == wanted.session_id
    other = bench.turns.begin(request(new_id(), opens=opens), queue=True)
    assert (other.outcome, other.turn_id) == ("busy", wanted.turn_id)


@pytest.mark.parametrize("queue", [False, True])
def test_who_asks_again_for_a_turn_that_a_worker_took_does_not_get_it(
    bench: Workbench, queue: bool
) -> None:
    session_id = bench.new_session()
    head = bench.begin(session_id)
    wanted = request(session_id)
    bench.turns.begin(wanted, enqueue=True, queue=queue)
    bench.turns.complete(head, "hi", Usage(), None)
    claimed = bench.turns.claim_head(session_id).turn
    assert claimed is not None
    assert (claimed.id, claimed.attempt) == (wanted.turn_id, 1)

    begun = bench.turns.begin(wanted, enqueue=True, queue=queue)

    assert (begun.outcome, begun.status, begun.turn) == ("prior", "running", None)


def test_a_turn_that_runs_at_once_though_it_might_wait_may_be_asked_for_again(
    bench: Workbench,
) -> None:
    wanted = request(bench.new_session())

    first, again = (bench.turns.begin(wanted, enqueue=True) for _ in range(2))

    assert first == again
    assert first.turn is not None


def test_who_does_not_queue_finishes_the_expired_turn_first(
    bench: Workbench, expire: Expire
) -> None:
    head = bench.begin(bench.new_session())
    bench.turns.begin(request(head.session_id), enqueue=True)
    expire(head.id)

    begun = bench.turns.begin(request(head.session_id), enqueue=True)

    assert (begun.outcome, begun.turn_id) == ("resume", head.id)
    assert begun.turn == replace(head, attempt=2, crashes=1)
