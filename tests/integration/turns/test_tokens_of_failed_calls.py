"""Tokens of model calls that were of no use are counted, also by who takes the turn over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from parley.memory.store import AgentSessionStore
from parley.runner import model_retry
from parley.runner.model_faults import BadAnswer
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench, held, request

BILLED = {"input_tokens": 700, "output_tokens": 30}


class ProcessDied(BaseException):
    """Stands for the end of a process: nothing after it is done any more."""


def die() -> Any:
    raise ProcessDied


def bad() -> Any:
    raise BadAnswer("The answer was cut off.", usage=BILLED, tries=3)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_retry, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


async def test_they_outlive_a_crash_after_the_next_record(
    new_bench: Callable[..., Workbench],
    expire: Callable[[UUID], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = new_bench(in_order(bad, bad, call("list_tasks"), bad, call("list_tasks", "c2"), die))
    turn = bench.begin(bench.new_session())
    with monkeypatch.context() as patch:
        patch.setattr(type(bench.turns), "release", lambda *_: False)
        with pytest.raises((ProcessDied, asyncio.CancelledError)):
            await bench.execute(turn)
    expire(turn.id)
    other = new_bench(in_order(say("nothing to do")))

    view = await other.execute(held(other.turns.begin(request(turn.session_id))))

    whole = new_bench(in_order(call("list_tasks"), call("list_tasks", "c2"), say("nothing to do")))
    answered = (await whole.send(whole.new_session())).view.turn
    assert view.turn.model_calls == answered.model_calls + 3
    assert view.turn.input_tokens == answered.input_tokens + 3 * BILLED["input_tokens"]
    assert view.turn.output_tokens == answered.output_tokens + 3 * BILLED["output_tokens"]


async def test_they_are_counted_once_where_nothing_crashes(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(in_order(bad, call("list_tasks"), bad, say("nothing to do")))

    turn = (await bench.send(bench.new_session())).view.turn

    assert turn.model_calls == 4
    assert turn.input_tokens >= 2 * BILLED["input_tokens"]
    assert turn.input_tokens < 3 * BILLED["input_tokens"]
