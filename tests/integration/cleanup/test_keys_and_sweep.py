"""Keys past their day go, and once a week what the store holds of no session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from parley.cleanup import expired_keys, sweep
from parley.cleanup.cleaner import Cleaner
from parley.cleanup.report import Counted
from parley.cleanup.retention import CleanupRequest
from parley.ids import conversation_key, new_id
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.progress import read_progress
from parley_testing.stores.aged import Aged
from parley_testing.stores.turn_keys import numbered
from parley_testing.workbench import WatchedStore

Clean = Callable[..., Any]
LEFT = TurnMemory([{"role": "user", "content": "nobody's"}])


def leave(store: AgentSessionStore, conversation: str, *, turns: int = 1) -> str:
    for number in range(1, turns + 1):
        store.finish(conversation, numbered(number), 1, LEFT)
    return conversation


def orphan(store: AgentSessionStore, *, user: str = "alice", turns: int = 1) -> str:
    return leave(store, conversation_key(user, new_id()), turns=turns)


def a_week_passes(sql: psycopg.Connection) -> None:
    sql.execute("UPDATE cleanup_progress SET ended_at = ended_at - interval '7 days 1 second'")


def test_keys_past_their_time_go_and_others_stay(
    clean: Clean, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expired_keys, "KEYS_A_PAGE", 2)
    sql.execute(
        "INSERT INTO idempotency_tombstones"
        " SELECT 'alice', kind, n::text, '', now() + n * interval '1 minute'"
        " FROM generate_series(-2, 2) n, unnest(ARRAY['turn', 'session', 'task']) kind"
        " WHERE n <> 0"
    )

    report = clean()

    assert report.kinds["keys"] == Counted(found=6, rows=6)
    kept = sql.execute("SELECT DISTINCT idempotency_key FROM idempotency_tombstones ORDER BY 1")
    assert kept.fetchall() == [("1",), ("2",)]


def test_memory_whose_session_is_gone_goes(aged: Aged, clean: Clean) -> None:
    there = aged.session(days=0, turns=2)
    orphan(aged.store, turns=2)
    orphan(aged.store, user="auth0|user_x_conv_y")

    report = clean()

    assert (report.kinds["orphaned_memory"].found, report.kinds["orphaned_memory"].items) == (2, 3)
    assert aged.remembered() == {there}


def test_a_session_of_another_user_does_not_keep_it(aged: Aged, clean: Clean) -> None:
    session_id = aged.session(days=0, user="alice")
    leave(aged.store, conversation_key("bob", session_id))

    clean()

    assert list(aged.memory()) == [conversation_key("alice", session_id)]


def test_what_is_not_named_as_parley_names_it_stays(aged: Aged, clean: Clean) -> None:
    names = [
        "somebody elses",
        "user_alice_conv_1",
        "user_alice_conv_018F0000-0000-7000-8000-00000000000A",
        "conv_018f0000-0000-7000-8000-00000000000a",
        "user_alice_conv_018f0000-0000-7000-8000-00000000000a:more",
    ]
    for name in names:
        leave(aged.store, name)

    assert clean().kinds["orphaned_memory"].found == 0

    assert sorted(aged.memory()) == sorted(names)


def test_it_is_not_begun_again_within_a_week(
    aged: Aged, clean: Clean, sql: psycopg.Connection, watched: WatchedStore
) -> None:
    clean()
    left = orphan(aged.store)
    sql.execute("UPDATE cleanup_progress SET ended_at = ended_at - interval '6 days 23 hours'")
    watched.calls.clear()
    assert clean().kinds["orphaned_memory"].found == 0
    asked = [name for name in watched.calls if name != "remove_expired"]
    assert (list(aged.memory()), asked) == ([left], [])
    a_week_passes(sql)

    assert clean().kinds["orphaned_memory"].found == 1

    assert aged.memory() == {}


def test_another_process_goes_on_where_it_was_stopped(
    aged: Aged,
    new_cleaner: Callable[[], Cleaner],
    watched: WatchedStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep, "CONVERSATIONS_A_PAGE", 2)
    left = [orphan(aged.store) for _ in range(5)]
    # closed, empty, memory, keys, records, and a page of the sweep
    pages = iter([60.0] * 6 + [0.0])
    first = new_cleaner().clean(CleanupRequest(), left=lambda: next(pages))
    assert first.kinds["orphaned_memory"].found == 2
    stopped = read_progress(aged.database, "sweep")
    assert stopped is not None
    assert stopped.cursor is not None
    before = set(aged.memory())
    watched.calls.clear()

    # The day after: a run from its beginning, not from the cursor.
    second = new_cleaner().clean(CleanupRequest(), left=lambda: 60.0)

    assert second.kinds["orphaned_memory"].found == 3
    assert before <= set(left)
    assert aged.memory() == {}
    assert watched.calls.count("conversations") <= 3, "not from its beginning"
    ended = read_progress(aged.database, "sweep")
    assert ended is not None
    assert (ended.cursor, ended.started_at) == (None, stopped.started_at)


def test_a_dry_run_leaves_its_place(
    aged: Aged, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "CONVERSATIONS_A_PAGE", 2)
    for _ in range(5):
        orphan(aged.store)

    assert clean(dry_run=True).kinds["orphaned_memory"].found == 5

    assert read_progress(aged.database, "sweep") is None
    assert len(aged.memory()) == 5


def test_one_that_cannot_be_removed_does_not_stop_the_rest(
    aged: Aged, clean: Clean, watched: WatchedStore, sql: psycopg.Connection
) -> None:
    bad, _ = orphan(aged.store, user="secret"), orphan(aged.store)
    forget = aged.store.forget

    def refusing(conversation: str) -> Any:
        if conversation == bad:
            raise RuntimeError
        return forget(conversation)

    watched.__dict__["forget"] = refusing

    report = clean()

    assert list(aged.memory()) == [bad]
    assert report.kinds["orphaned_memory"].failures == 1
    # Keys of conversations stay on the server, so it is named by the session that is gone.
    assert [failure.subject for failure in report.failures] == [bad.rpartition("_")[2]]
    del watched.__dict__["forget"]
    a_week_passes(sql)
    clean()
    assert aged.memory() == {}
