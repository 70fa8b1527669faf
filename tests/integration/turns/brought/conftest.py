"""Turns of agents that people bring: waited for, followed, and carried on after a crash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent

from parley.errors import StoreUnavailable
from parley.events.sqlite import SqliteEventLog
from parley.ids import conversation_key
from parley_testing.agents_brought.outcome import Carried
from parley_testing.models.scripted import Script
from parley_testing.workbench import Workbench


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(tmp_path / "events.db")
    yield log
    log.close()


@pytest.fixture(params=["waited for", "followed", "carried on"])
def carry(
    request: pytest.FixtureRequest, new_bench: Callable[..., Workbench], log: SqliteEventLog
) -> Callable[[Agent[Any], Script], Awaitable[Carried]]:
    """Carries a turn of an agent to its end in each of three ways.

    One that is carried on loses its store when it had its answer, and is replayed from its records
    by another attempt, which asks the model for its last answer only.
    """

    async def carry(agent: Agent[Any], script: Script, **fields: Any) -> Carried:
        bench = new_bench(script, agent=agent, events=log, **fields)
        session_id = bench.new_session()
        if request.param == "carried on":
            answers: list[Any] = []

            def kept(asked: Any) -> Any:
                answers.append(script(asked))
                return answers[-1]

            bench.model.script = kept
            bench.watched.before["finish"] = _down
            turn = bench.begin(session_id)
            try:
                await bench.execute(turn, logged=True)
            except StoreUnavailable:
                bench.watched.before.clear()
                bench.model.script = lambda asked: answers[-1]
                held = bench.turns.claim_head(session_id).turn
                assert held is not None
                view = await bench.execute(held)
            else:
                view = bench.transcript.turn("alice", session_id, turn.id)
        else:
            turn = bench.begin(session_id)
            view = await bench.execute(turn, logged=request.param == "followed")
        events = log.read(conversation_key("alice", session_id), turn.key)
        return Carried(bench, view, list(events), request.param != "waited for")

    return carry


def _down() -> None:
    raise StoreUnavailable("agent-session store", "down")
