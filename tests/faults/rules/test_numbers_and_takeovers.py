"""Rules of the begin statement and of the lease (turn-protocol, section 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from parley.errors import Fenced, IdempotencyKeyReused, StoreUnavailable, TurnInProgress
from parley.ids import new_id
from parley.repository import begin, turns
from parley.repository.turns import Ending, NewSession, TurnRepository, Usage
from parley.runner import execute
from parley.turns import finalize, lease
from parley.turns.lease import Lease
from parley_testing.models.scripted import Items, in_order, say
from parley_testing.workbench import Workbench, held, request

NewBench = Callable[..., Workbench]
AtOnce = Callable[..., list[Any]]
Expire = Callable[[UUID], None]
_SAME_NUMBER = " AND x.next_number = seen.next_number"
_NUMBER = "RETURNING x.id, x.agent, seen.next_number AS number"
_OWN_NUMBER = "RETURNING x.id, x.agent, x.next_number - 1 AS number"
_MADE = "RETURNING *),\nsaid AS"


def test_the_number_is_taken_by_compare_and_set(
    kept: bool, rule: Any, bench: Workbench, at_once: AtOnce
) -> None:
    """Without it, with ON CONFLICT DO NOTHING, each loser burns a number."""
    for words, instead in (
        (_SAME_NUMBER, ""),
        (_NUMBER, _OWN_NUMBER),
        (_MADE, f"ON CONFLICT DO NOTHING {_MADE}"),
    ):
        rule.without(turns, "BEGIN_BY_ID", words, instead)
    session_id = bench.new_session()

    begun = at_once(
        "SELECT FROM sessions FOR UPDATE",
        lambda: bench.turns.begin(request(session_id)),
        lambda: bench.turns.begin(request(session_id)),
    )

    (winner,) = (each for each in begun if each.outcome == "running")
    assert {each.turn_id for each in begun} == {winner.turn_id}
    bench.turns.complete(held(winner), "hi", Usage(), None)
    assert bench.begin(session_id).number == (2 if kept else 3)


def test_the_index_on_running_turns_is_the_net_below_it(
    kept: bool,
    bench: Workbench,
    at_once: AtOnce,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without either, two turns of one session run."""
    statement = begin.BEGIN_BY_ID.text.replace(_SAME_NUMBER, "").replace(_NUMBER, _OWN_NUMBER)
    monkeypatch.setattr(turns, "BEGIN_BY_ID", text(statement))
    if not kept:
        sql.execute("DROP INDEX uq_turns_running")
    session_id = bench.new_session()

    begun = at_once(
        "SELECT FROM sessions FOR UPDATE",
        lambda: bench.turns.begin(request(session_id)),
        lambda: bench.turns.begin(request(session_id)),
    )

    outcomes = sorted(each.outcome for each in begun)
    assert outcomes == (["busy", "running"] if kept else ["running", "running"])


def test_an_earlier_turn_of_the_key_is_looked_up_before_status_and_busy(
    kept: bool, rule: Any, bench: Workbench
) -> None:
    """Without it a retry is told of its own turn that it is in the way, or cannot be had."""
    rule.without(turns, "BEGIN_BY_ID", "WHEN prior.id IS NOT NULL THEN 'prior'")
    turn = bench.begin(bench.new_session(), key="k")

    while_it_runs = bench.turns.begin(request(turn.session_id, key="k")).outcome
    bench.turns.complete(turn, "hi", Usage(), None)
    bench.sessions.change("alice", turn.session_id, {"status": "ended"})
    in_the_end = bench.turns.begin(request(turn.session_id, key="k")).outcome

    expected = ("prior", "prior") if kept else ("busy", "not_active")
    assert (while_it_runs, in_the_end) == expected


def test_a_begin_finds_the_turn_that_it_has_made(kept: bool, rule: Any, bench: Workbench) -> None:
    """Without it a begin whose answer was lost is refused by its own turn."""
    rule.without(turns, "BEGIN_BY_ID", " OR t.id = :turn_id")
    asked = request(bench.new_session())
    bench.turns.begin(asked)  # and its answer is lost

    again = bench.turns.begin(asked)

    assert again.outcome == ("running" if kept else "busy")


async def test_a_key_belongs_to_its_request(kept: bool, rule: Any, new_bench: NewBench) -> None:
    """Without the fingerprint another message is answered with the first one's reply."""
    mixed_up = "WHEN prior.fingerprint <> ALL(CAST(:fingerprints AS bytea[])) THEN 'key_reused'"
    rule.without(turns, "BEGIN_BY_ID", mixed_up)
    bench = new_bench(in_order(say("to the first")))
    session_id = bench.new_session()
    await bench.send(session_id, "first", key="k")

    try:
        sent = await bench.send(session_id, "second", key="k")
    except IdempotencyKeyReused:
        assert kept
    else:
        assert not kept
        assert sent.view.user_message is not None
        assert sent.view.user_message.content == "first"


def test_only_the_databases_clock_is_asked(kept: bool, rule: Any, bench: Workbench) -> None:
    """Without it a process whose clock is ahead takes over a turn that is being carried out."""
    by_its_own = "t.lease_expires_at < now() + interval '1 minute'"  # so much is it ahead
    rule.without(turns, "BEGIN_BY_ID", "t.lease_expires_at < now()", by_its_own)
    turn = bench.begin(bench.new_session())

    begun = bench.turns.begin(request(turn.session_id))

    assert begun.outcome == ("busy" if kept else "resume")


def test_a_takeover_counts_the_attempt(
    kept: bool, rule: Any, bench: Workbench, expire: Expire, sql: psycopg.Connection
) -> None:
    """Without it who was replaced is not fenced."""
    rule.without(turns, "BEGIN_BY_ID", "attempt = t.attempt + 1", "attempt = t.attempt")
    turn = bench.begin(bench.new_session(), key="k")
    expire(turn.id)
    assert bench.turns.begin(request(turn.session_id, key="k")).outcome == "resume"

    completed = bench.turns.complete(turn, "from the dead", Usage(), None)

    assert (completed is None) is kept


def test_a_takeover_is_a_compare_and_set_too(
    kept: bool, rule: Any, bench: Workbench, expire: Expire, at_once: AtOnce
) -> None:
    """Without it two take the same turn over, and one crash counts twice."""
    rule.without(
        turns,
        "BEGIN_BY_ID",
        """AND t.attempt = head.attempt
    AND t.status = 'running' AND NOT :queue
    AND (t.lease_expires_at < now()
      OR t.lease_expires_at > now() + make_interval(secs => 2 * :lease))""",
        "AND head.expired AND NOT :queue",
    )
    turn = bench.begin(bench.new_session())
    expire(turn.id)

    begun = at_once(
        "SELECT FROM turns FOR UPDATE",
        lambda: bench.turns.begin(request(turn.session_id)),
        lambda: bench.turns.begin(request(turn.session_id)),
    )

    outcomes = sorted(each.outcome for each in begun)
    assert outcomes == (["busy", "resume"] if kept else ["resume", "resume"])


async def test_who_comes_next_finishes_what_was_left(
    kept: bool, rule: Any, new_bench: NewBench, expire: Expire
) -> None:
    """Without it a turn whose process died blocks its session until somebody recovers it."""
    rule.without(turns, "BEGIN_BY_ID", "  FROM head WHERE", "  FROM head, prior WHERE")
    rule.without(
        turns,
        "BEGIN_BY_ID",
        "WHEN head.expired AND prior.ended_at IS NULL AND NOT :queue THEN 'again'",
    )
    bench = new_bench(in_order(say("one"), say("two")))
    turn = bench.begin(bench.new_session(), "first")
    expire(turn.id)

    with suppress(TurnInProgress):
        await bench.send(turn.session_id, "second")

    status = bench.transcript.turn("alice", turn.session_id, turn.id).turn.status
    assert status == ("completed" if kept else "running")


def test_a_first_message_makes_its_session_and_its_turn_at_once(
    kept: bool, bench: Workbench, sql: psycopg.Connection
) -> None:
    """In two statements a retry after the first makes another session."""
    opens = NewSession(agent="todo", name=None, platform="api", metadata={})
    if kept:
        bench.turns.begin(request(new_id(), key="k", opens=opens))
    else:
        bench.new_session()
    # And the process dies.

    bench.turns.begin(request(new_id(), key="k", opens=opens))

    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == ((1,) if kept else (2,))


async def test_a_defect_counts_as_a_crash(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """Without it a turn that cannot be ended is tried for ever, and blocks its session."""
    release = finalize.release

    async def uncounted(turns: TurnRepository, turn: Any, **_: Any) -> None:
        await release(turns, turn)

    rule.instead(execute, "release", uncounted)
    bench = new_bench(lambda _: say("hi"), crashes=2)
    bench.watched.before["finish"] = lambda: 1 / 0
    asked = request(bench.new_session(), key="k")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await bench.sender.send(asked, seconds=60)

    try:
        code = await failure(bench.sender.send(asked, seconds=60))
    except ZeroDivisionError:
        code = "once more"

    assert code == ("turn_crashed" if kept else "once more")


async def test_leases_that_run_out_are_counted(
    kept: bool, rule: Any, new_bench: NewBench, expire: Expire, failure: Any
) -> None:
    """Without it a turn that kills its process is tried for ever, and blocks its session."""
    crashes = """crashes = t.crashes
           + (t.lease_expires_at > '-infinity' AND t.lease_expires_at < now())::int"""
    rule.without(turns, "BEGIN_BY_ID", crashes, "crashes = t.crashes")
    bench = new_bench(in_order(say("once more")), crashes=2)
    turn = bench.begin(bench.new_session(), key="k")
    expire(turn.id)
    held(bench.turns.begin(request(turn.session_id, key="k")))
    expire(turn.id)

    code = await failure(bench.send(turn.session_id, key="k"))

    assert code == ("turn_crashed" if kept else "")


async def test_a_long_turn_renews_its_lease(
    kept: bool,
    new_bench: NewBench,
    expire: Expire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without it a turn that takes longer than a lease is taken over while it is carried out."""
    renew, renewed = Lease.renew, asyncio.Event()

    async def noted(held: Lease) -> None:
        if kept:
            await renew(held)
        renewed.set()

    async def think() -> Items:
        expire(turn.id)
        for _ in range(2):  # the first may have been under way before
            renewed.clear()
            await renewed.wait()
        outcomes.append(bench.turns.begin(request(turn.session_id)).outcome)
        return say("at last")

    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(Lease, "renew", noted)
    outcomes: list[str] = []
    bench = new_bench(in_order(think))
    turn = bench.begin(bench.new_session())

    with suppress(Fenced):
        await bench.execute(turn)

    assert outcomes == ["busy" if kept else "resume"]


async def test_a_store_that_is_down_ends_no_turn(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """A 503 is not final. If it were, the message would be refused with its key for good."""

    async def fail_it(turns: TurnRepository, turn: Any, **_: Any) -> None:
        finalize = Ending("failed", "unavailable", "A store was down.", remembered=False)
        turns.stop(turn, finalize, Usage(), None)

    rule.instead(execute, "release", fail_it)
    bench = new_bench(in_order(StoreUnavailable("store", "down"), say("here I am")))
    session_id = bench.new_session()
    with pytest.raises(StoreUnavailable):
        await bench.send(session_id, key="k")

    code = await failure(bench.send(session_id, key="k"))

    assert code == ("" if kept else "unavailable")
