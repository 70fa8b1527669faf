"""Rules on how a turn ends, and on what is deleted or forgotten (turn-protocol, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import TextClause, text

from parley.cleanup.forgetting import Forgetter
from parley.cleanup.outbox import Outbox
from parley.errors import StoreUnavailable
from parley.ids import conversation_key, new_id
from parley.memory.store import TurnMemory
from parley.repository import end, sessions, turns
from parley.repository.scope import OfUser
from parley.repository.turns import TurnRepository, Usage
from parley.runner.agent_run import RunFailed
from parley.runner.execute import TurnExecutor
from parley.turns.finalize import Finalizer
from parley.turns.journal import Journal
from parley_testing.models.scripted import call, in_order, say
from parley_testing.postgres.databases import name_of
from parley_testing.stores.turn_keys import numbered
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]
LATE = TurnMemory([{"role": "user", "content": "too late"}])


def forgetter(bench: Workbench) -> Forgetter:
    return Forgetter(bench.sessions, lambda: bench.store, 200)


async def test_memory_is_done_before_the_turn_is_completed(
    kept: bool,
    new_bench: NewBench,
    die: Any,
    let_die: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the other order a process that dies in between loses what its tools were told."""
    finish, complete = Journal.finish, Finalizer.complete

    async def completed_first(finalizer: Finalizer, attempt: Any, memory: Any) -> Any:
        await complete(finalizer, attempt, memory)
        die()
        await finish(attempt.journal, memory)

    async def later(*_: Any) -> None:
        """Memory comes after the turn then."""

    script = call("add_task", title="milk"), say("Added."), say("ok")
    bench = new_bench(in_order(*script))
    turn = bench.begin(bench.new_session(), "add milk", key="k")
    with monkeypatch.context() as patch:
        if kept:
            patch.setattr(TurnRepository, "complete", die)
        else:
            patch.setattr(Journal, "finish", later)
            patch.setattr(Finalizer, "complete", completed_first)
        await let_die(bench, turn)

    await bench.send(turn.session_id, "and?")

    kinds = [item.get("type", "message") for item in bench.model.asked[-1].input]
    assert ("function_call_output" in kinds) is kept


def test_the_session_is_locked_before_the_turn(
    kept: bool, rule: Any, bench: Workbench, sql: psycopg.Connection, waiting: Callable[[int], None]
) -> None:
    """In the other order completing deadlocks with deletion."""
    rule.without(end, "COMPLETE", " FOR NO KEY UPDATE")
    name = name_of(sql)
    sql.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
    turn = bench.begin(bench.new_session())
    # Completing stops when it has locked the turn, until deletion waits for it.
    sql.execute(
        """
        CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';
        CREATE TRIGGER stop BEFORE UPDATE ON turns FOR EACH ROW EXECUTE FUNCTION stop();
        """
    )

    def run(statement: TextClause, values: dict[str, Any]) -> None:
        # In a transaction, which is not run again as a statement is that Postgres gave up.
        with bench.database.transaction(OfUser("alice")) as connection:
            connection.execute(statement, values)

    completion = turns._of_attempt(turn, Usage(), None)
    completion |= {"message_id": new_id(), "reply": "hi", "window_from": 0}
    whose = {
        "user_id": "alice",
        "session_id": turn.session_id,
        "conversation": conversation_key("alice", turn.session_id),
    }
    with ThreadPoolExecutor(2) as threads:
        sql.execute("SELECT pg_advisory_lock(1)")
        ends = [threads.submit(run, end.COMPLETE, completion)]
        waiting(1)
        ends.append(threads.submit(run, sessions._DELETE, whose))
        waiting(2)
        sql.execute("SELECT pg_advisory_unlock(1)")

    errors = [str(error) for each in ends if (error := each.exception())]
    assert len(errors) == (0 if kept else 1)
    assert all("40P01" in error for error in errors), "of a deadlock"


async def test_before_a_turn_is_given_up_its_memory_is_claimed(
    kept: bool,
    rule: Any,
    new_bench: NewBench,
    die: Any,
    let_die: Any,
    failure: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without it a turn that only lacked its last write fails for having crashed too often."""
    take_over = TurnExecutor._take_over

    async def given_up(executor: TurnExecutor, attempt: Any) -> Any:
        if attempt.turn.crashes >= executor.limits.crashes:
            raise RunFailed("turn_crashed", "It was given up.")
        return await take_over(executor, attempt)

    rule.instead(TurnExecutor, "_take_over", given_up)
    bench = new_bench(in_order(say("hi")), crashes=1)
    turn = bench.begin(bench.new_session(), key="k")
    with monkeypatch.context() as patch:
        patch.setattr(TurnRepository, "complete", die)
        await let_die(bench, turn)

    code = await failure(bench.send(turn.session_id, key="k"))

    assert code == ("" if kept else "turn_crashed")


@pytest.fixture
async def talked(new_bench: NewBench) -> Any:
    """A session with one turn: who talks there, and its key in the store."""
    bench = new_bench(in_order(say("hi")))
    session_id = bench.new_session()
    await bench.send(session_id)
    return bench, session_id, conversation_key("alice", session_id)


async def test_deletion_leaves_word_in_the_outbox(
    kept: bool, rule: Any, talked: Any, sql: psycopg.Connection
) -> None:
    """Without it memory stays for good if its store is down while a session is deleted."""
    rows_only = text("DELETE FROM sessions WHERE id = :session_id RETURNING id")
    rule.instead(sessions, "_DELETE", rows_only)
    bench, session_id, key = talked
    bench.watched.before["forget"] = _down
    forgetter(bench).delete("alice", session_id)
    bench.watched.before.clear()

    drain(bench, sql)

    assert (bench.store.read_newest(key, None) == []) is kept


async def test_deleted_memory_is_removed_again_after_the_last_late_writer(
    kept: bool, rule: Any, talked: Any, sql: psycopg.Connection
) -> None:
    """Without the wait what a zombie writes after the deletion stays for good."""
    rule.without(sessions, "_DELETE", "make_interval(secs =>", "make_interval(secs => 0 *")
    bench, session_id, key = talked
    forgetter(bench).delete("alice", session_id)
    Outbox(bench.database, bench.store).drain(10)
    bench.store.finish(key, numbered(2), 1, LATE)  # by a zombie

    drain(bench, sql)

    assert (bench.store.read_newest(key, None) == []) is kept


@pytest.mark.parametrize(("statement", "act"), [("_FORGET", "clear"), ("_VOUCHED", "prune")])
async def test_memory_is_removed_below_a_number_that_postgres_gives(
    kept: bool,
    rule: Any,
    new_bench: NewBench,
    die: Any,
    let_die: Any,
    failure: Any,
    statement: str,
    act: str,
) -> None:
    """By key alone the open turn's records would go too, over effects that have happened."""
    rule.without(sessions, statement, sessions._BOUNDARY, " s.next_number ")

    def meanwhile() -> Any:
        getattr(forgetter(bench), act)("alice", turn.session_id)
        die()

    bench = new_bench(in_order(call("add_task", title="milk"), meanwhile, say("Added.")))
    turn = bench.begin(bench.new_session(), "add milk", key="k")
    await let_die(bench, turn)

    code = await failure(bench.send(turn.session_id, "add milk", key="k"))

    assert code == ("" if kept else "memory_unreadable")


async def test_clearing_is_told_to_postgres_first(kept: bool, rule: Any, talked: Any) -> None:
    """By the store alone memory would come back while the store is down, or from the transcript."""
    only_asked = text("SELECT next_number AS number FROM sessions WHERE id = :session_id")
    rule.instead(sessions, "_FORGET", only_asked)
    bench, session_id, _ = talked
    bench.watched.before["forget_before"] = _down
    with pytest.raises(StoreUnavailable):
        forgetter(bench).clear("alice", session_id)
    bench.model.script = in_order(say("who are you?"))

    await bench.send(session_id, "again")

    shown = [item["content"] for item in bench.model.asked[-1].input]
    assert shown == (["again"] if kept else ["hello", "hi", "again"])


def drain(bench: Workbench, sql: psycopg.Connection) -> None:
    """Let time pass and the outbox be drained."""
    sql.execute("UPDATE memory_deletions SET not_before = now() - interval '1 second'")
    Outbox(bench.database, bench.store).drain(10)


def _down() -> None:
    raise StoreUnavailable("agent-session store", "down")
