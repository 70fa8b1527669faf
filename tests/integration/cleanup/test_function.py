"""The cleanup function, as the schedule invokes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from parley.cleanup import expired_sessions
from parley.errors import StoreUnavailable
from parley.ids import conversation_key
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.progress import read_progress
from parley_testing.api.handlers import Context, load_function
from parley_testing.stores.aged import Aged
from parley_testing.stores.moving_clock import MovingClock
from parley_testing.stores.turn_keys import numbered


@pytest.fixture
def store(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AgentSessionStore]:
    store = SqliteStore(tmp_path / "memory.db")
    yield store
    store.close()


@pytest.fixture
def function(environment: pytest.MonkeyPatch) -> Iterator[Any]:
    module = load_function("cleanup")
    yield module
    module.parts.database.close()


def invoke(function: Any, action: str, *, seconds: float = 120) -> Any:
    return function.handler({"action": action}, Context(seconds))


def stop_after(function: Any, monkeypatch: pytest.MonkeyPatch, pages: int) -> Any:
    """Clean up in an invocation that has time for so many pages."""
    remaining = iter([60_000] * pages + [0])
    context = Context()
    monkeypatch.setattr(context, "get_remaining_time_in_millis", lambda: next(remaining))
    return function.handler({"action": "clean"}, context)


def test_it_cleans_up_and_notes_what_came_of_it(aged: Aged, function: Any) -> None:
    kept = aged.session(days=1)
    aged.session(days=31, status="ended")

    report = invoke(function, "clean")

    assert aged.sessions() == {kept}
    assert (report["done"], report["kinds"]["closed_sessions"]["found"]) == (True, 1)
    progress = read_progress(aged.database, "retention")
    assert progress is not None
    assert progress.report == report
    assert progress.ended_seconds_ago is not None
    assert (progress.cursor, 0 <= progress.ended_seconds_ago < 60) == (None, True)


def test_its_ages_are_those_of_the_settings(aged: Aged, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_SESSION_RETENTION_DAYS", "3")
    environment.setenv("SESSION_RETENTION_DAYS", "5")
    environment.setenv("EMPTY_SESSION_RETENTION_HOURS", "48")
    function = load_function("cleanup")
    for days in (4.9, 5.1):
        aged.session(days=days, status="ended", turns=0, name=f"{days}", platform="cli")
    aged.sql.execute("UPDATE sessions SET next_number = 2 WHERE platform = 'cli'")
    for days in (1.9, 2.1):
        aged.session(days=days, turns=0)

    session_id = aged.session(days=0, turns=0)
    conversation = conversation_key("alice", session_id)
    function.parts.store.finish(conversation, numbered(1), 1, TurnMemory([{"role": "user"}]))
    clock = MovingClock(environment)
    clock.move(days=3.9)  # three, and a quarter or at least a day more
    assert len(aged.remembered()) == 1
    clock.move(days=0.2)

    kinds = invoke(function, "clean")["kinds"]
    function.parts.database.close()

    found = {kind: kinds[kind]["found"] for kind in kinds}
    assert (found["closed_sessions"], found["empty_sessions"]) == (1, 1)
    assert found["memory"] == 1


def test_recovery_goes_on_with_a_cleanup_that_had_no_time_to_end(
    aged: Aged, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expired_sessions, "SESSIONS_A_PAGE", 2)
    for _ in range(5):
        aged.session(days=31, status="ended")
    report = stop_after(function, monkeypatch, 1)
    assert (report["done"], report["kinds"]["closed_sessions"]["found"]) == (False, 2)

    recovered = invoke(function, "recover")

    assert recovered["done"]
    assert recovered["cleanup"]["kinds"]["closed_sessions"]["found"] == 3
    assert aged.counts() == {}
    assert invoke(function, "recover")["cleanup"] is None


def test_recovery_without_the_time_says_that_something_is_left(
    aged: Aged, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged.session(days=31, status="ended")
    stop_after(function, monkeypatch, 0)

    assert not invoke(function, "recover", seconds=1)["done"]

    assert invoke(function, "recover")["done"]
    assert aged.counts() == {}


def test_a_failure_is_noted_and_raised(
    aged: Aged, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        aged.session(days=31, status="ended")

    def down(*_: Any) -> None:
        raise StoreUnavailable("agent-session store", "down")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "forget", down)
        with pytest.raises(StoreUnavailable):
            invoke(function, "clean")

    progress = read_progress(aged.database, "retention")
    assert progress is not None
    assert progress.report == {"error": "agent-session store: down"}
    assert invoke(function, "recover")["conversations"] == 2
    assert aged.memory() == {}


def test_a_failure_that_nobody_expects_is_noted_without_what_it_says(
    aged: Aged, function: Any, monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(expired_sessions, "find_expired", broken)

    with pytest.raises(RuntimeError):
        invoke(function, "clean")

    progress = read_progress(aged.database, "retention")
    assert progress is not None
    assert progress.report == {"error": "RuntimeError"}


def test_another_action_is_refused(function: Any) -> None:
    for event in ({}, {"action": None}, {"action": "cleanup"}, {"dry_run": True}):
        with pytest.raises(ValueError, match="expected"):
            function.handler(event, Context())
