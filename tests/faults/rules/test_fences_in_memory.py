"""Rules: memory's writes name their attempt, and a claim creates (turn-protocol, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parley.errors import Fenced
from parley.memory import sqlite
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.stores.turn_keys import numbered
from parley_testing.workbench import Workbench

KEY = "user_a_conv_1"


@pytest.fixture
def store(new_bench: Callable[..., Workbench]) -> AgentSessionStore:
    return new_bench().store


def without(patch: pytest.MonkeyPatch, name: str, condition: str) -> None:
    """Take a condition out of a statement."""
    statement = getattr(sqlite, name)
    assert condition in statement
    patch.setattr(sqlite, name, statement.replace(condition, ""))


def refused(write: Callable[[], object]) -> bool:
    try:
        write()
    except Fenced:
        return True
    return False


def test_recording(kept: bool, store: AgentSessionStore, monkeypatch: Any) -> None:
    if not kept:
        without(monkeypatch, "_TOUCH", "turns.attempt = excluded.attempt AND ")
    store.claim(KEY, numbered(1), 2)

    assert (
        refused(lambda: store.record(KEY, numbered(1), 1, "0", {"output": "from the dead"})) is kept
    )

    # Without it the next attempt goes on from an answer that the second was never given.
    assert (store.claim(KEY, numbered(1), 3).records == {}) is kept


def test_recording_after_the_end(kept: bool, store: AgentSessionStore, monkeypatch: Any) -> None:
    if not kept:
        without(monkeypatch, "_TOUCH", " AND turns.state = 'open'")
    store.finish(KEY, numbered(1), 1, TurnMemory([], "done"))

    assert refused(lambda: store.record(KEY, numbered(1), 1, "0", {"output": []})) is kept


def test_finishing(kept: bool, store: AgentSessionStore, monkeypatch: Any) -> None:
    if not kept:
        without(monkeypatch, "_FINISH", "WHERE turns.attempt = excluded.attempt")
    store.claim(KEY, numbered(1), 2)
    store.finish(KEY, numbered(1), 2, TurnMemory([], "from the living"))

    refused(lambda: store.finish(KEY, numbered(1), 1, TurnMemory([], "from the dead")))

    (left,) = store.read(KEY, [numbered(1)])
    assert left.memory is not None
    assert left.memory.reply == ("from the living" if kept else "from the dead")


def test_claiming(kept: bool, store: AgentSessionStore, monkeypatch: Any) -> None:
    if not kept:
        without(monkeypatch, "_CLAIM", "WHERE turns.attempt <= excluded.attempt")
    store.claim(KEY, numbered(1), 3)

    assert refused(lambda: store.claim(KEY, numbered(1), 2)) is kept


def test_a_claim_creates(kept: bool, store: AgentSessionStore, monkeypatch: Any) -> None:
    """Without that, a first attempt that froze before its first write is never fenced."""
    if not kept:
        updates = (
            "UPDATE turns SET attempt = ?4 WHERE conversation = ?1 AND number = ?2"
            " AND turn_id = ?3 AND attempt <= ?4 AND ?5 > 0 AND ?6 > 0"
        )
        monkeypatch.setattr(sqlite, "_CLAIM", updates)
    refused(lambda: store.claim(KEY, numbered(1), 2))

    assert (
        refused(lambda: store.record(KEY, numbered(1), 1, "0", {"output": "from the dead"})) is kept
    )
