"""What the agent remembers of sessions unused for long goes by itself; what was said stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from parley.cleanup import expired_memory
from parley.cleanup.report import Counted
from parley.ids import conversation_key
from parley.memory.sqlite import SqliteStore
from parley.memory.store import Held
from parley_testing.stores.aged import Aged
from parley_testing.stores.turn_keys import numbered
from parley_testing.workbench import WatchedStore

Clean = Callable[..., Any]


def removed(aged: Aged, held: Held) -> Counted:
    """Return what a cleanup counts of memory that has expired: DynamoDB removes it itself."""
    if not isinstance(aged.store, SqliteStore):
        return Counted()
    return Counted(found=held.turns, items=held.turns, bytes=held.bytes)


def test_memory_of_sessions_inactive_for_long_enough_goes(aged: Aged, clean: Clean) -> None:
    old = aged.session(days=9, memory_days=9, turns=3)
    recent = aged.session(days=8, memory_days=8)
    held = aged.store.weigh(conversation_key("alice", old))
    assert aged.remembered() == {recent}, "it is absent before anything has removed it"

    report = clean()

    assert aged.remembered() == {recent}
    assert report.kinds["memory"] == removed(aged, held)
    left = aged.store.weigh(conversation_key("alice", old))
    assert left == (Held() if report.kinds["memory"].found else held)
    assert report.done
    assert not report.failures


def test_the_transcript_stays(aged: Aged, clean: Clean) -> None:
    aged.session(days=9, memory_days=9, turns=2)
    before = aged.counts()

    clean()

    assert aged.counts() == before == {"sessions": 1, "turns": 2, "messages": 4}


def test_a_second_cleanup_finds_nothing(aged: Aged, clean: Clean, watched: WatchedStore) -> None:
    aged.session(days=9, memory_days=9)
    clean()
    watched.calls.clear()

    report = clean()

    assert set(report.kinds.values()) == {Counted()}
    assert watched.calls == ["remove_expired"], "the sweep was done by the first"


def test_it_goes_a_page_at_a_time(
    aged: Aged, clean: Clean, watched: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds SQLite's one lock for as long as it takes."""
    monkeypatch.setattr(expired_memory, "TURNS_A_PAGE", 2)
    session_id = aged.session(days=9, memory_days=9, turns=5)
    held = aged.store.weigh(conversation_key("alice", session_id))

    report = clean()

    assert report.kinds["memory"] == removed(aged, held)
    pages = 3 if report.kinds["memory"].found else 1
    assert watched.calls.count("remove_expired") == pages


def test_it_has_its_own_age_whatever_a_cleanup_is_asked_for(aged: Aged, clean: Clean) -> None:
    session_id = aged.session(days=8, memory_days=8)

    clean(older_than_seconds=0)

    assert aged.remembered() == {session_id}


def test_what_an_open_turn_has_recorded_stays(aged: Aged, clean: Clean) -> None:
    session_id = aged.session(days=0)
    turn = aged.begin(session_id)
    conversation = conversation_key("alice", session_id)
    aged.store.record(conversation, turn.key, 1, "0", {"output": []})
    aged.age(session_id, 400)

    clean(older_than_seconds=0)

    assert aged.store.claim(conversation, turn.key, 2).records == {"0": {"output": []}}


def test_a_record_that_nobody_can_go_on_from_goes_at_last(aged: Aged, clean: Clean) -> None:
    """A process died between ending its turn and dropping its records."""
    session_id = aged.session(days=0, turns=0)
    conversation = conversation_key("alice", session_id)
    with patch("time.time", lambda: 0.0):
        aged.store.record(conversation, numbered(1), 1, "0", {"output": []})
    held = aged.store.weigh(conversation)

    assert clean().kinds["memory"] == removed(aged, held)
