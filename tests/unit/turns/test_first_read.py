"""What is read of memory before a turn is carried out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from parley import threads
from parley.errors import StoreUnavailable
from parley.ids import TurnKey, conversation_key
from parley.memory.store import StoredTurn
from parley.turns import first_read
from parley.turns.first_read import read_newest

SESSION = UUID(int=1)
NEWEST = [StoredTurn(TurnKey(number, SESSION), 1, None) for number in (2, 1)]


class Store:
    """A store that is away so many times."""

    def __init__(self, *, away: int = 0) -> None:
        self.away = away
        self.asked: list[Any] = []

    def read_newest(self, *arguments: Any, **named: Any) -> list[Any]:
        self.asked.append((arguments, named))
        if len(self.asked) <= self.away:
            raise StoreUnavailable("agent-session store", "away")
        return NEWEST


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(first_read, "memory_read", seconds.append)
    return seconds


async def test_as_many_turns_and_bytes_of_the_user_s_conversation_are_read_as_are_shown(
    measured: list[float],
) -> None:
    store: Any = Store()

    read = await read_newest(store, "alice", SESSION, 25, 1_000)

    assert read == NEWEST
    assert store.asked == [((conversation_key("alice", SESSION), 25), {"max_bytes": 1_000})]
    assert len(measured) == 1


async def test_a_store_that_is_away_for_a_moment_is_asked_again(measured: list[float]) -> None:
    store: Any = Store(away=1)

    assert await read_newest(store, "alice", SESSION, 25, 1_000) == NEWEST


async def test_a_read_that_fails_is_told_of_and_not_measured(measured: list[float]) -> None:
    store: Any = Store(away=99)

    with pytest.raises(StoreUnavailable):
        await read_newest(store, "alice", SESSION, 25, 1_000)

    assert measured == []
