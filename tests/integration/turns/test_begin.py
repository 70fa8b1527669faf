"""The begin statement: each of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Executable, text

from parley.ids import Voucher, new_id
from parley.repository.begin import MAX_QUEUED
from parley.repository.scope import Scope
from parley.repository.turns import Ending, NewSession, Usage
from parley_testing.stores.turn_keys import pairs
from parley_testing.workbench import Workbench, held, request

SESSION = NewSession(agent="assistant", name="groceries", platform="cli", metadata={"a": 1})
FAILED = Ending("failed", "model_failed", "It failed.", remembered=False)


def test_a_turn_is_made_with_its_message(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    wanted = request(session_id, "hello")

    begun = bench.turns.begin(wanted)

    assert (begun.outcome, begun.turn_id) == ("running", wanted.turn_id)
    turn = held(begun)
    assert (turn.number, turn.attempt, turn.crashes, turn.remembered) == (1, 1, 0, ())
    said = sql.execute("SELECT id, turn_id, role, content FROM messages").fetchall()
    assert said == [(wanted.message_id, turn.id, "user", "hello")]


@pytest.mark.parametrize("first", [False, True], ids=["of an id", "of a new session"])
def test_a_turn_starts_when_it_is_made_and_not_when_its_transaction_began(
    bench: Workbench, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """The turn before it may end in between, and would seem to overlap with it."""
    moments: list[Any] = []

    def late(scope: Scope, statement: Executable, parameters: Mapping[str, Any]) -> Any:
        with bench.database.transaction(scope) as connection:
            connection.execute(text("SELECT 1"))
            moments.extend(sql.execute("SELECT clock_timestamp()").fetchall()[0])
            return connection.execute(statement, parameters).fetchall()

    wanted = request(new_id(), opens=SESSION) if first else request(bench.new_session())
    monkeypatch.setattr(bench.database, "run", late)

    turn = held(bench.turns.begin(wanted))

    assert turn.started_at >= moments[0]
    rows = sql.execute("SELECT created_at = started_at FROM turns").fetchall()
    assert rows == [(True,)]  # by which a begin whose answer was lost knows its own turn


def test_turns_are_numbered_without_a_gap(bench: Workbench) -> None:
    session_id = bench.new_session()

    numbers = []
    for _ in range(3):
        turn = bench.begin(session_id)
        numbers.append(turn.number)
        bench.turns.complete(turn, "hi", Usage(), None)

    assert numbers == [1, 2, 3]


def test_a_begin_whose_answer_was_lost_may_be_sent_again(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    wanted = request(bench.new_session())
    first = bench.turns.begin(wanted)

    second = bench.turns.begin(wanted)

    assert second == first
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (1,)


def test_a_turn_of_the_same_key_is_found_while_it_runs(bench: Workbench) -> None:
    session_id = bench.new_session()
    turn = bench.begin(session_id, key="k")

    begun = bench.turns.begin(request(session_id, key="k"))

    assert (begun.outcome, begun.turn_id, begun.status) == ("prior", turn.id, "running")
    assert begun.turn is None


@pytest.mark.parametrize("ending", ["completed", "failed"])
def test_a_turn_of_the_same_key_is_found_when_it_is_over(bench: Workbench, ending: str) -> None:
    session_id = bench.new_session()
    turn = bench.begin(session_id, key="k")
    if ending == "completed":
        bench.turns.complete(turn, "hi", Usage(), None)
    else:
        bench.turns.stop(turn, FAILED, Usage(), None)
    bench.begin(session_id)  # another turn is in the way, and does not matter

    begun = bench.turns.begin(request(session_id, key="k"))

    assert (begun.outcome, begun.turn_id, begun.status) == ("prior", turn.id, ending)


def test_a_key_is_found_in_a_session_that_has_ended(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    session_id = bench.new_session()
    turn = bench.begin(session_id, key="k")
    bench.turns.complete(turn, "hi", Usage(), None)
    sql.execute("UPDATE sessions SET status = 'ended'")

    assert bench.turns.begin(request(session_id, key="k")).outcome == "prior"


def test_a_key_with_another_text_is_refused(bench: Workbench) -> None:
    session_id = bench.new_session()
    turn = bench.begin(session_id, "hello", key="k")

    begun = bench.turns.begin(request(session_id, "goodbye", key="k"))

    assert (begun.outcome, begun.turn_id, begun.turn) == ("key_reused", turn.id, None)


def test_a_key_of_another_session_is_refused(bench: Workbench) -> None:
    bench.begin(bench.new_session(), key="k")

    assert bench.turns.begin(request(bench.new_session(), key="k")).outcome == "key_reused"


def test_a_reused_key_does_not_take_over_an_expired_turn(
    bench: Workbench, expire: Callable[[UUID], None], sql: psycopg.Connection
) -> None:
    session_id = bench.new_session()
    turn = bench.begin(session_id, "hello", key="k")
    expire(turn.id)

    assert bench.turns.begin(request(session_id, "goodbye", key="k")).outcome == "key_reused"
    assert sql.execute("SELECT attempt FROM turns").fetchone() == (1,)


def test_the_same_key_is_another_users_own(bench: Workbench) -> None:
    bench.begin(bench.new_session("alice"), user="alice", key="k")

    begun = bench.turns.begin(request(bench.new_session("bob"), user="bob", key="k"))

    assert begun.outcome == "running"


@pytest.mark.parametrize("opens", [None, SESSION], ids=["by id", "by name"])
@pytest.mark.parametrize(("left", "outcome"), [(640, "resume"), (60, "busy")])
def test_a_lease_from_before_the_clock_was_set_back_is_over(
    bench: Workbench,
    sql: psycopg.Connection,
    opens: NewSession | None,
    left: int,
    outcome: str,
) -> None:
    first = held(bench.turns.begin(request(new_id(), opens=SESSION)))
    sql.execute("UPDATE turns SET lease_expires_at = now() + make_interval(secs => %s)", [left])

    begun = bench.turns.begin(request(first.session_id, opens=opens))

    assert (begun.outcome, begun.turn_id) == (outcome, first.id)
    crashes = sql.execute("SELECT attempt, crashes FROM turns").fetchone()
    assert crashes == (2 if outcome == "resume" else 1, 0)


def test_a_running_turn_is_in_the_way(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    turn = bench.begin(session_id)

    begun = bench.turns.begin(request(session_id))

    assert (begun.outcome, begun.turn_id, begun.turn) == ("busy", turn.id, None)
    assert sql.execute("SELECT next_number FROM sessions").fetchone() == (2,)


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_no_session_is_found(bench: Workbench, user: str, sql: psycopg.Connection) -> None:
    session_id = new_id() if user == "alice" else bench.new_session("alice")

    assert bench.turns.begin(request(session_id, user=user)).outcome == "not_found"
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)


@pytest.mark.parametrize("status", ["ended", "escalated"])
def test_only_an_active_session_runs_turns(
    bench: Workbench, sql: psycopg.Connection, status: str
) -> None:
    session_id = bench.new_session()
    sql.execute("UPDATE sessions SET status = %s", (status,))

    begun = bench.turns.begin(request(session_id))

    assert (begun.outcome, begun.session_status) == ("not_active", status)


def test_a_turn_waits_behind_a_running_one(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    bench.begin(session_id)

    begun = bench.turns.begin(request(session_id), enqueue=True)

    assert (begun.outcome, begun.turn) == ("queued", None)
    row = sql.execute(
        "SELECT number, status, attempt, lease_expires_at, started_at FROM turns WHERE id = %s",
        (begun.turn_id,),
    ).fetchone()
    assert row == (2, "queued", 0, None, None)


def test_a_turn_may_be_left_for_a_worker(bench: Workbench) -> None:
    begun = bench.turns.begin(request(bench.new_session()), queue=True)

    assert (begun.outcome, begun.turn) == ("queued", None)


def test_a_queued_turn_is_found_again_by_its_request(bench: Workbench) -> None:
    wanted = request(bench.new_session())
    bench.turns.begin(wanted, queue=True)

    begun = bench.turns.begin(wanted, queue=True)

    assert (begun.outcome, begun.turn_id, begun.turn) == ("prior", wanted.turn_id, None)


def test_no_more_turns_wait_than_may(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    bench.begin(session_id)
    for _ in range(MAX_QUEUED):
        assert bench.turns.begin(request(session_id), enqueue=True).outcome == "queued"

    assert bench.turns.begin(request(session_id), enqueue=True).outcome == "queue_full"
    assert sql.execute("SELECT count(*) FROM messages").fetchone() == (MAX_QUEUED + 1,)


def test_a_first_message_makes_its_session(bench: Workbench, sql: psycopg.Connection) -> None:
    wanted = request(new_id(), opens=SESSION)

    begun = bench.turns.begin(wanted)

    assert (begun.outcome, begun.session_id) == ("running", wanted.session_id)
    assert (held(begun).number, held(begun).agent) == (1, "assistant")
    row = sql.execute(
        "SELECT id, user_id, agent, name, platform, metadata, next_number FROM sessions"
    ).fetchone()
    assert row == (wanted.session_id, "alice", "assistant", "groceries", "cli", {"a": 1}, 2)


def test_a_first_message_sent_again_finds_its_turn(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    wanted = request(new_id(), opens=SESSION)

    assert held(bench.turns.begin(wanted)) == held(bench.turns.begin(wanted))
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_a_first_message_retried_with_its_key_finds_its_session(
    bench: Workbench, sql: psycopg.Connection
) -> None:
    nameless = replace(SESSION, name=None)
    first = bench.turns.begin(request(new_id(), key="k", opens=nameless))

    again = bench.turns.begin(request(new_id(), key="k", opens=nameless))

    assert (again.outcome, again.session_id) == ("prior", first.session_id)
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_a_named_session_is_found_by_its_name(bench: Workbench) -> None:
    first = bench.turns.begin(request(new_id(), opens=SESSION))
    bench.turns.complete(held(first), "hi", Usage(), None)

    second = bench.turns.begin(request(new_id(), opens=SESSION))

    assert (second.outcome, second.session_id) == ("running", first.session_id)
    assert held(second).number == 2
    assert held(second).remembered == (Voucher(1, 1, held(first).id),)


def test_the_same_name_is_another_users_own(bench: Workbench) -> None:
    first = bench.turns.begin(request(new_id(), user="alice", opens=SESSION))

    second = bench.turns.begin(request(new_id(), user="bob", opens=SESSION))

    assert second.outcome == "running"
    assert second.session_id != first.session_id


def test_messages_without_a_name_make_a_session_each(bench: Workbench) -> None:
    nameless = replace(SESSION, name=None)

    made = {bench.turns.begin(request(new_id(), opens=nameless)).session_id for _ in range(2)}

    assert len(made) == 2


def test_a_named_session_can_be_busy_and_ended(bench: Workbench, sql: psycopg.Connection) -> None:
    turn = held(bench.turns.begin(request(new_id(), opens=SESSION)))

    busy = bench.turns.begin(request(new_id(), opens=SESSION))

    assert (busy.outcome, busy.turn_id) == ("busy", turn.id)
    bench.turns.complete(turn, "hi", Usage(), None)
    sql.execute("UPDATE sessions SET status = 'ended'")
    assert bench.turns.begin(request(new_id(), opens=SESSION)).outcome == "not_active"


def test_the_key_of_a_deleted_session_makes_no_other(bench: Workbench) -> None:
    begun = bench.turns.begin(request(new_id(), "hello", key="k", opens=SESSION))
    bench.sessions.delete("alice", begun.session_id)

    same = bench.turns.begin(request(new_id(), "hello", key="k", opens=SESSION))
    other = bench.turns.begin(request(new_id(), "goodbye", key="k", opens=SESSION))

    assert (same.outcome, other.outcome) == ("not_found", "key_reused")


def test_begin_tells_which_turns_left_memory(bench: Workbench, sql: psycopg.Connection) -> None:
    session_id = bench.new_session()
    noted = replace(FAILED, remembered=True)
    for ending in (None, FAILED, noted, None):
        turn = bench.begin(session_id)
        if ending is None:
            bench.turns.complete(turn, "hi", Usage(), None)
        else:
            bench.turns.stop(turn, ending, Usage(), None)
    sql.execute("UPDATE sessions SET memory_from = 2")

    assert pairs(bench.begin(session_id).remembered) == [(4, 1), (3, 1)]


def test_begin_tells_of_one_more_turn_than_a_window_can_have(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(memory_items=4)
    session_id = bench.new_session()
    for _ in range(4):
        bench.turns.complete(bench.begin(session_id), "hi", Usage(), None)

    assert pairs(bench.begin(session_id).remembered) == [(4, 1), (3, 1), (2, 1)]


def test_begin_tells_of_no_turn_before_the_window(bench: Workbench) -> None:
    session_id = bench.new_session()
    bench.turns.complete(bench.begin(session_id), "hi", Usage(), None)
    bench.turns.complete(bench.begin(session_id), "hi", Usage(), None, window_from=2)
    # One that had seen less of the past moves it no way back.
    bench.turns.complete(bench.begin(session_id), "hi", Usage(), None, window_from=1)

    assert pairs(bench.begin(session_id).remembered) == [(3, 1), (2, 1)]


def test_nor_does_it_in_a_session_that_is_found_by_its_name(bench: Workbench) -> None:
    for window_from in (None, 2):
        turn = held(bench.turns.begin(request(new_id(), opens=SESSION)))
        bench.turns.complete(turn, "hi", Usage(), None, window_from=window_from)

    begun = held(bench.turns.begin(request(new_id(), opens=SESSION)))

    assert pairs(begun.remembered) == [(2, 1)]
