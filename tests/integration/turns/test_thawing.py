"""A process that was frozen looks whether the turn is still its own before it writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import Fenced
from parley.memory.store import AgentSessionStore
from parley.repository.turns import Renewed, RunningTurn, TurnRepository
from parley.timing import LEASE_SECONDS
from parley.turns import lease
from parley.turns.effects import Effects
from parley_testing.models.scripted import Items, call, in_order, say
from parley_testing.workbench import Workbench, held, request

FROZEN = LEASE_SECONDS + 1


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


class Clock:
    """The wall clock as the attempt sees it; it goes on while a process is frozen."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease, "time", clock)
    return clock


@pytest.fixture
def asked(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the lease and of the store from now on, in order."""
    calls = bench.watched.calls
    renew = TurnRepository.renew

    def noted(turns: TurnRepository, turn: RunningTurn) -> Renewed | None:
        calls.append("renew")
        return renew(turns, turn)

    monkeypatch.setattr(TurnRepository, "renew", noted)
    return calls


def answers(clock: Clock, items: Items) -> Callable[[], Items]:
    """Freeze the process for longer than its lease while the model is asked."""

    def thaw() -> Items:
        clock.ahead += FROZEN
        return items

    return thaw


async def test_a_turn_that_is_still_its_own_is_held_anew_and_goes_on(
    bench: Workbench, clock: Clock, asked: list[str]
) -> None:
    bench.model.script = in_order(answers(clock, call("list_tasks")), say("Nothing."))

    sent = await bench.send(bench.new_session(), "what do I have?")

    assert asked == ["read_newest", "renew", "record", "finish"]
    assert (sent.view.turn.status, sent.view.turn.attempt) == ("completed", 1)


async def test_a_process_that_is_not_frozen_asks_nothing(
    bench: Workbench, clock: Clock, asked: list[str]
) -> None:
    bench.model.script = in_order(call("list_tasks"), say("Nothing."))

    await bench.send(bench.new_session(), "what do I have?")

    assert asked == ["read_newest", "record", "finish"]


@pytest.mark.parametrize("frozen_for", [0.5, 3])
async def test_each_time_it_was_frozen_it_asks_again(
    bench: Workbench, clock: Clock, asked: list[str], frozen_for: float
) -> None:
    def later(items: Items) -> Callable[[], Items]:
        def thaw() -> Items:
            clock.ahead += frozen_for * LEASE_SECONDS
            return items

        return thaw

    bench.model.script = in_order(
        later(call("list_tasks")), later(call("list_tasks", "call_2")), say("Nothing.")
    )

    await bench.send(bench.new_session(), "what do I have?")

    # Twice half a lease is past one too; the second of two long sleeps is past another.
    assert asked.count("renew") == (1 if frozen_for < 1 else 2)


@pytest.mark.parametrize(
    "answer",
    [call("add_task", title="milk"), say("too late")],
    ids=["before-a-record", "before-the-end"],
)
async def test_one_that_was_replaced_writes_nothing(
    bench: Workbench,
    clock: Clock,
    asked: list[str],
    expire: Callable[[UUID], None],
    sql: psycopg.Connection,
    answer: Items,
) -> None:
    turn = bench.begin(bench.new_session(), key="k")

    def replaced() -> Items:
        clock.ahead += FROZEN
        expire(turn.id)
        # In Postgres only: the store would still let it write.
        assert held(bench.turns.begin(request(turn.session_id, key="k"))).attempt == 2
        return answer

    bench.model.script = in_order(replaced)

    with pytest.raises(Fenced):
        await bench.execute(turn)

    assert asked == ["read_newest", "renew"]
    assert sql.execute("SELECT status, attempt FROM turns").fetchone() == ("running", 2)
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


async def test_a_tool_is_not_begun_by_one_that_was_replaced(
    bench: Workbench,
    clock: Clock,
    asked: list[str],
    expire: Callable[[UUID], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = bench.begin(bench.new_session(), key="k")
    bench.model.script = in_order(call("add_task", title="milk"))
    in_transaction, begun = Effects.in_transaction, []

    async def frozen_before(self: Effects, called: Any, body: Any, **rest: Any) -> Any:
        clock.ahead += FROZEN
        expire(turn.id)
        held(bench.turns.begin(request(turn.session_id, key="k")))
        return await in_transaction(self, called, lambda effect: begun.append(effect), **rest)

    monkeypatch.setattr(Effects, "in_transaction", frozen_before)

    with pytest.raises(Fenced):
        await bench.execute(turn)

    assert begun == []
    assert asked[-1] == "renew"


async def test_one_that_was_replaced_does_not_ask_the_model_any_more(
    bench: Workbench, clock: Clock, expire: Callable[[UUID], None]
) -> None:
    turn = bench.begin(bench.new_session(), key="k")
    bench.model.script = in_order(say("paid for, and for nobody"))

    def replaced() -> None:
        clock.ahead += FROZEN
        expire(turn.id)
        held(bench.turns.begin(request(turn.session_id, key="k")))

    bench.watched.before["read_newest"] = replaced
    with pytest.raises(Fenced):
        await bench.execute(turn)

    assert bench.model.asked == []
