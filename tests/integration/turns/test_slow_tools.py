"""A tool whose statement always takes longer than it may does not block its session for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import Agent
from sqlalchemy import text

from parley.errors import StoreUnavailable, TurnFailed
from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.turns.context import Effect, TurnContext
from parley.turns.tools import effect_tool
from parley_testing.scripted_model import Asked, Items, call, say
from parley_testing.workbench import Workbench

SLOW = "count all that there is"


@effect_tool
def count_everything(effect: Effect) -> int:
    """Take far too long."""
    effect.db.execute(text("SELECT pg_sleep(30)"))
    return 7


def answer(asked: Asked) -> Items:
    return call("count_everything", "c") if asked.input[-1]["content"] == SLOW else say("fine")


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Workbench]:
    database = Database(lambda: database_url, statement_timeout=0.2)
    store = SqliteStore(tmp_path / "memory.db")
    agent = Agent[TurnContext](name="todo", tools=[count_everything])
    yield Workbench(database, store, answer, agent=agent, crashes=2)
    store.close()
    database.close()


async def test_its_turn_fails_after_as_many_tries_as_one_that_crashes(bench: Workbench) -> None:
    session_id = bench.new_session()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="57014"):
            await bench.send(session_id, SLOW, key="k")

    with pytest.raises(TurnFailed, match="turn_crashed"):
        await bench.send(session_id, SLOW, key="k")

    assert (await bench.send(session_id, "hello")).view.turn.status == "completed"
