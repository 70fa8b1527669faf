"""What one user may begin: decided in the begin statement, for every way to begin."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from parley.ids import new_id
from parley.repository.approvals import Asked, decide
from parley.repository.database import Database
from parley.repository.fair_use import UNLIMITED, FairUse, Reached
from parley.repository.scope import OfUser
from parley.repository.turns import Ending, NewSession, TurnRepository, TurnRequest, Usage
from parley_testing.run.at_length import times
from parley_testing.scenarios.at_once import connected
from parley_testing.scenarios.begins import Beginning
from parley_testing.stores.asking import asking
from parley_testing.waiting import wait_for
from parley_testing.workbench import Workbench, held, request

OPENS = NewSession(agent="todo", name=None, platform="api", metadata={})
BEGINS = times(enough=8, full=20)
PROCESSES = times(enough=2, full=4)
STOPPED = Ending("cancelled", "cancelled", "It was.", remembered=False)
WAYS = pytest.mark.parametrize(
    "how", [{}, {"enqueue": True}, {"queue": True}], ids=["waited for", "enqueued", "background"]
)


@pytest.fixture
def new_turns(database: Database) -> Callable[..., TurnRepository]:
    """Makes the turns of a deployment with limits."""

    def make(**limits: int) -> TurnRepository:
        return TurnRepository(database, window=100, fair_use=FairUse(**limits))

    return make


@pytest.fixture(params=["by id", "by name"])
def wanted(request: pytest.FixtureRequest, bench: Workbench) -> Callable[..., TurnRequest]:
    """Makes requests, each in a session of its own: one that is there, or a new one."""
    return {"by id": lambda **fields: ask(bench.new_session(), **fields), "by name": opening}[
        request.param
    ]


def ask(session_id: UUID, **fields: Any) -> TurnRequest:
    return request(session_id, **fields)


def opening(**fields: Any) -> TurnRequest:
    return request(new_id(), opens=OPENS, **fields)


@WAYS
def test_open_turns_are_limited(
    new_turns: Callable[..., TurnRepository],
    wanted: Callable[..., TurnRequest],
    sql: psycopg.Connection,
    how: dict[str, bool],
) -> None:
    turns = new_turns(open_turns=3)
    for _ in range(3):
        assert turns.begin(wanted(), **how).outcome in ("running", "queued")
    before = sql.execute("SELECT sum(next_number) FROM sessions").fetchone()

    refused = turns.begin(another := wanted(), **how)

    assert refused.outcome == "limit_reached"
    assert refused.reached == Reached("user_max_open_turns", 3, None)
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (3,)
    left = sql.execute(
        "SELECT sum(next_number) FROM sessions WHERE id <> %s", (another.session_id,)
    )
    assert left.fetchone() == before  # no number was burnt


def test_what_waits_in_a_session_is_open_too(
    new_turns: Callable[..., TurnRepository], bench: Workbench
) -> None:
    turns, session_id = new_turns(open_turns=3), bench.new_session()
    for _ in range(3):
        turns.begin(ask(session_id), enqueue=True)

    assert turns.begin(ask(session_id), enqueue=True).outcome == "limit_reached"
    assert turns.begin(ask(bench.new_session())).outcome == "limit_reached"


def test_a_turn_that_waits_for_a_decision_is_open_too(
    new_turns: Callable[..., TurnRepository], bench: Workbench
) -> None:
    turns = new_turns(open_turns=2)
    asked = [
        asking(bench.database, str(bench.new_session()), Asked("call", "todo", "refund", "{}"))
        for _ in range(2)
    ]

    refused = turns.begin(ask(bench.new_session()))
    assert refused.reached == Reached("user_max_open_turns", 2, None)

    # One that goes on is open still; one that is over makes room.
    decide(bench.database, asked[0], "rejected", by="alice", anybody=False)
    assert turns.begin(ask(bench.new_session())).outcome == "limit_reached"
    going_on = turns.claim_head(asked[0].session_id).turn
    assert going_on is not None
    turns.stop(going_on, STOPPED, Usage(), None)
    assert turns.begin(ask(bench.new_session())).outcome == "running"


@pytest.mark.parametrize("end", ["completed", "stopped", "deleted"])
def test_a_turn_that_is_over_makes_room(
    new_turns: Callable[..., TurnRepository], bench: Workbench, end: str
) -> None:
    turns = new_turns(open_turns=1)
    turn = held(turns.begin(ask(bench.new_session())))
    match end:
        case "completed":
            turns.complete(turn, "hi", Usage(), None)
        case "stopped":
            turns.stop(turn, STOPPED, Usage(), None)
        case _:
            bench.sessions.delete("alice", turn.session_id)

    assert turns.begin(ask(bench.new_session())).outcome == "running"


def test_another_users_turns_do_not_count(
    new_turns: Callable[..., TurnRepository], bench: Workbench
) -> None:
    turns = new_turns(open_turns=1, turns_per_minute=1)
    turns.begin(ask(bench.new_session()))

    bobs = turns.begin(ask(bench.new_session("bob"), user="bob"))

    assert bobs.outcome == "running"


@WAYS
def test_turns_per_minute_are_limited_until_the_first_is_a_minute_ago(
    new_turns: Callable[..., TurnRepository],
    wanted: Callable[..., TurnRequest],
    sql: psycopg.Connection,
    how: dict[str, bool],
) -> None:
    turns = new_turns(turns_per_minute=3)
    for _ in range(3):
        turns.begin(wanted(), **how)

    refused = turns.begin(wanted(), **how)

    assert refused.outcome == "limit_reached"
    assert refused.reached is not None
    assert (refused.reached.limit, refused.reached.most) == ("user_turns_per_minute", 3)
    assert refused.reached.renews is not None
    assert 0 < refused.reached.renews <= 60
    # Told that it would renew in so many seconds, the user comes back then, and not before.
    pass_seconds(sql, refused.reached.renews + 0.001)
    assert turns.begin(wanted(), **how).outcome in ("running", "queued")


def test_whoever_deletes_sessions_begins_no_more_turns_for_it(
    new_turns: Callable[..., TurnRepository], bench: Workbench
) -> None:
    turns = new_turns(turns_per_minute=2)
    for _ in range(2):
        turn = held(turns.begin(opening()))
        bench.sessions.delete("alice", turn.session_id)

    assert turns.begin(opening()).outcome == "limit_reached"


def test_a_limit_that_was_changed_holds_at_once(
    new_turns: Callable[..., TurnRepository], sql: psycopg.Connection
) -> None:
    for _ in range(5):
        new_turns(turns_per_minute=5).begin(opening())

    assert new_turns(turns_per_minute=2).begin(opening()).outcome == "limit_reached"
    assert new_turns(turns_per_minute=6).begin(opening()).outcome == "running"
    assert new_turns(turns_per_minute=6).begin(opening()).outcome == "limit_reached"
    assert new_turns(turns_per_minute=0).begin(opening()).outcome == "running"


def test_a_clock_that_was_set_back_refuses_nobody(
    new_turns: Callable[..., TurnRepository], sql: psycopg.Connection
) -> None:
    turns = new_turns(turns_per_minute=1)
    turns.begin(opening())
    pass_seconds(sql, -3600)

    assert turns.begin(opening()).outcome == "running"


def test_no_more_moments_are_kept_than_are_counted(
    new_turns: Callable[..., TurnRepository], sql: psycopg.Connection
) -> None:
    turns = new_turns(turns_per_minute=2)
    for _ in range(4):
        turns.begin(opening())
        pass_seconds(sql, 60)

    (kept,) = sql.execute("SELECT begun_at FROM user_limits").fetchone() or ()
    assert len(kept) == 2
    assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize("limits", [{"open_turns": 1}, {"turns_per_minute": 1}], ids=str)
def test_a_turn_that_had_begun_is_found_whatever_the_limits(
    new_turns: Callable[..., TurnRepository],
    wanted: Callable[..., TurnRequest],
    limits: dict[str, int],
) -> None:
    turns = new_turns(**limits)
    first = wanted(key="k")
    turn = held(turns.begin(first))

    assert turns.begin(first).outcome == "running"  # its answer was lost
    again = replace(first, turn_id=new_id(), message_id=new_id())
    assert (turns.begin(again).outcome, turns.begin(again).turn_id) == ("prior", turn.id)
    turns.complete(turn, "hi", Usage(), None)
    assert turns.begin(again).outcome == "prior"


def test_a_turn_whose_attempt_died_is_carried_on_whatever_the_limits(
    new_turns: Callable[..., TurnRepository], bench: Workbench, expire: Callable[[UUID], None]
) -> None:
    turns = new_turns(open_turns=1, turns_per_minute=1)
    turn = held(turns.begin(ask(bench.new_session())))
    expire(turn.id)

    assert turns.begin(ask(turn.session_id)).outcome == "resume"


def test_a_session_that_is_busy_says_so_first(
    new_turns: Callable[..., TurnRepository], bench: Workbench
) -> None:
    turns = new_turns(open_turns=1)
    turn = held(turns.begin(ask(bench.new_session())))

    assert turns.begin(ask(turn.session_id)).outcome == "busy"


def test_sessions_are_limited_where_a_message_makes_one(
    new_turns: Callable[..., TurnRepository], bench: Workbench, sql: psycopg.Connection
) -> None:
    turns = new_turns(sessions=2)
    named = replace(OPENS, name="groceries")
    turns.begin(request(new_id(), opens=named), queue=True)
    bench.new_session()

    refused = turns.begin(opening())

    assert refused.reached == Reached("user_max_sessions", 2, None)
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
    # One that is there is found.
    assert turns.begin(request(new_id(), opens=named), enqueue=True).outcome == "queued"


def test_metadata_is_limited_where_a_message_makes_a_session(
    new_turns: Callable[..., TurnRepository],
) -> None:
    turns = new_turns(metadata_bytes=60)
    labelled = replace(OPENS, metadata={"label": "x" * 20})
    assert turns.begin(request(new_id(), opens=labelled)).outcome == "running"

    refused = turns.begin(request(new_id(), opens=labelled))

    assert refused.reached == Reached("user_max_metadata_bytes", 60, None)
    assert turns.begin(opening()).outcome == "running"


@pytest.mark.parametrize(
    ("limits", "most"),
    [(FairUse(open_turns=3), 3), (FairUse(turns_per_minute=4), 4), (UNLIMITED, BEGINS)],
    ids=["open turns", "turns per minute", "none"],
)
@pytest.mark.parametrize("new", [False, True], ids=["by id", "by name"])
def test_begins_at_once_over_several_processes_never_exceed_a_limit(
    database_url: str,
    bench: Workbench,
    sql: psycopg.Connection,
    limits: FairUse,
    most: int,
    new: bool,
) -> None:
    wanted = [opening() if new else ask(bench.new_session()) for _ in range(BEGINS)]

    processes = [
        Beginning(database_url, limits, wanted[part::PROCESSES]) for part in range(PROCESSES)
    ]

    outcomes = [outcome for each in processes for outcome in each.outcomes()]
    assert sorted(outcomes) == ["limit_reached"] * (BEGINS - most) + ["running"] * most
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (most,)


def pass_seconds(sql: psycopg.Connection, seconds: float) -> None:
    """Let what was begun be longer ago."""
    sql.execute(
        "UPDATE user_limits SET begun_at = ARRAY("
        " SELECT at - make_interval(secs => %s) FROM unnest(begun_at) WITH ORDINALITY AS b(at, n)"
        " ORDER BY n)",
        (seconds,),
    )


def test_a_begin_waits_for_another_of_the_same_user_that_is_not_committed(
    database_url: str, bench: Workbench, sql: psycopg.Connection
) -> None:
    """However the processes' statements fall: the second counts what the first has made."""
    limits, other, own = FairUse(open_turns=1), bench.new_session(), bench.new_session()
    with ThreadPoolExecutor(1) as pool, connected(database_url, 2) as (first, second):
        with first.transaction(OfUser("alice", alone=True)) as connection:
            connection.execute(text("SELECT 1"))
            asked = pool.submit(
                TurnRepository(second, window=100, fair_use=limits).begin,
                ask(own),
            )
            wait_for(lambda: asked.done() or waits(sql))
            sql.execute(
                "INSERT INTO turns (id, session_id, user_id, number, status, attempt, agent,"
                " fingerprint) VALUES (%s, %s, 'alice', 1, 'running', 1, 'todo', '')",
                (new_id(), other),
            )

        assert asked.result().outcome == "limit_reached"


def waits(sql: psycopg.Connection) -> bool:
    """Tell whether a transaction waits for its user's others."""
    found = sql.execute(
        "SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()"
    )
    return found.fetchone() is not None
