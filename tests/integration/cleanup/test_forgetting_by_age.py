"""What the agent remembers of sessions unused for a week goes; what was said stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from parley.cleanup.report import Counted
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley_testing.models.scripted import call, in_order, say
from parley_testing.stores.aged import Aged
from parley_testing.workbench import WatchedStore, Workbench

Clean = Callable[..., Any]


def test_memory_of_sessions_inactive_for_long_enough_goes(aged: Aged, clean: Clean) -> None:
    old = aged.session(days=8, turns=3)
    recent = aged.session(days=6)
    held = aged.store.weigh(conversation_key("alice", old))

    report = clean()

    assert aged.remembered() == {recent}
    assert report.kinds["memory"] == Counted(found=1, rows=0, items=3, bytes=held.bytes)
    assert report.done
    assert not report.failures


def test_the_transcript_stays(aged: Aged, clean: Clean) -> None:
    aged.session(days=8, turns=2)
    before = aged.counts()

    clean()

    assert aged.counts() == before == {"sessions": 1, "turns": 2, "messages": 4}


def test_a_second_cleanup_visits_nothing(aged: Aged, clean: Clean, watched: WatchedStore) -> None:
    aged.session(days=8)
    clean()
    watched.calls.clear()

    report = clean()

    assert set(report.kinds.values()) == {Counted()}
    assert watched.calls == [], "the sweep was done by the first"


async def test_the_next_turn_is_shown_the_conversation_as_the_transcript_has_it(
    aged: Aged, clean: Clean, database: Database, store: AgentSessionStore
) -> None:
    script = in_order(call("add_task", title="milk"), say("added"), say("two"), say("three"))
    bench = Workbench(database, store, script)
    session_id = bench.new_session()
    await bench.send(session_id, "add milk")
    await bench.send(session_id, "second")
    aged.age(session_id, 8)
    assert clean().kinds["memory"].found == 1
    assert aged.remembered() == set()

    await bench.send(session_id, "third")

    shown = bench.model.asked[-1].input  # that a model would take it, each test sees to
    assert [item["role"] for item in shown] == ["user", "assistant", "user", "assistant", "user"]
    assert [item["content"] for item in shown] == ["add milk", "added", "second", "two", "third"]


def test_after_new_turns_it_is_due_again_and_only_then(aged: Aged, clean: Clean) -> None:
    session_id = aged.session(days=8)
    clean()
    aged.say(session_id, "again")
    assert clean().kinds["memory"].found == 0, "it is in use"
    aged.age(session_id, 8)

    report = clean()

    assert (report.kinds["memory"].found, report.kinds["memory"].items) == (1, 1)
    assert aged.remembered() == set()
    assert clean().kinds["memory"] == Counted()


@pytest.mark.parametrize("lease", ["interval '1 hour'", "interval '-8 days'"])
def test_a_session_with_an_open_turn_is_left_alone(
    aged: Aged, clean: Clean, sql: psycopg.Connection, lease: str
) -> None:
    session_id = aged.session(days=0)
    turn = aged.begin(session_id)
    sql.execute(f"UPDATE turns SET lease_expires_at = now() + {lease} WHERE id = %s", (turn.id,))
    aged.age(session_id, 400)
    before = aged.memory()

    assert clean().kinds["memory"].found == 0

    assert aged.memory() == before


def test_a_queued_turn_also_holds_what_its_session_remembers(
    aged: Aged, clean: Clean, sql: psycopg.Connection
) -> None:
    session_id = aged.session(days=0, status="active")
    turn = aged.begin(session_id)
    sql.execute("UPDATE turns SET status = 'queued', attempt = 0 WHERE id = %s", (turn.id,))
    aged.age(session_id, 400)

    assert clean(older_than_seconds=0).kinds["memory"].found == 0

    assert aged.remembered() == {session_id}


def test_ended_sessions_forget_before_they_go(aged: Aged, clean: Clean) -> None:
    session_id = aged.session(days=8, status="ended")

    kinds = clean().kinds

    assert (kinds["memory"].found, kinds["closed_sessions"].found) == (1, 0)
    assert (aged.sessions(), aged.remembered()) == ({session_id}, set())


def test_the_outbox_holds_nothing_afterwards(aged: Aged, clean: Clean) -> None:
    aged.session(days=8)

    clean()

    assert "memory_deletions" not in aged.counts()
