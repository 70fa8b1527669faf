"""An attempt that is replaced while it runs: it changes nothing and says nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent

from parley.errors import Fenced, NotFound
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.turns import Ending, RunningTurn, Usage
from parley.runner.tools import effect_tool
from parley.turns import lease
from parley.turns.context import TurnContext
from parley_testing.models.scripted import Items, Script, by_model, call, in_order, say
from parley_testing.waiting import until
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


class Setup:
    """A turn that one process runs while another takes it over."""

    def __init__(self, new_bench: NewBench, expire: Callable[[UUID], None]) -> None:
        self._new_bench, self._expire = new_bench, expire
        self.zombie = new_bench()
        self.turn: RunningTurn = self.zombie.begin(self.zombie.new_session(), "add milk", key="k")

    async def complete_elsewhere(self, items: Items) -> Items:
        """Have another process carry the turn to its end, then go on."""
        self._expire(self.turn.id)
        other = self._new_bench(in_order(say("from the other")))
        await other.send(self.turn.session_id, "add milk", key="k")
        return items

    def claim_elsewhere(self, items: Items) -> Items:
        """Have another process get hold of the turn, in Postgres only, then go on."""
        self._expire(self.turn.id)
        begun = self.zombie.turns.begin(request(self.turn.session_id, "add milk", key="k"))
        assert begun.outcome == "resume"
        return items

    async def run(self, script: Script) -> None:
        self.zombie.model.script = script
        with pytest.raises(Fenced):
            await self.zombie.execute(self.turn)


@pytest.fixture
def setup(new_bench: NewBench, expire: Callable[[UUID], None]) -> Setup:
    return Setup(new_bench, expire)


def reply(sql: psycopg.Connection) -> Any:
    return sql.execute("SELECT content FROM messages WHERE role = 'assistant'").fetchall()


async def test_its_tool_call_is_neither_recorded_nor_carried_out(
    setup: Setup, sql: psycopg.Connection
) -> None:
    answer = call("add_task", title="milk")

    await setup.run(in_order(lambda: setup.complete_elsewhere(answer), say("too late")))

    assert len(setup.zombie.model.asked) == 1
    assert reply(sql) == [("from the other",)]
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


async def test_its_tools_effect_is_rolled_back(setup: Setup, sql: psycopg.Connection) -> None:
    answer = call("add_task", title="milk")

    await setup.run(in_order(lambda: setup.claim_elsewhere(answer), say("too late")))

    assert len(setup.zombie.model.asked) == 1
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    assert sql.execute("SELECT count(*) FROM tool_calls").fetchone() == (0,)
    assert reply(sql) == []


async def test_its_reply_is_not_seen(setup: Setup, sql: psycopg.Connection) -> None:
    await setup.run(in_order(lambda: setup.complete_elsewhere(say("too late"))))

    assert reply(sql) == [("from the other",)]
    (stored,) = setup.zombie.store.read_newest(conversation_key("alice", setup.turn.session_id), 10)
    assert stored.memory is not None
    assert stored.memory.reply == "from the other"


async def test_its_reply_is_not_seen_before_the_other_has_one(
    setup: Setup, sql: psycopg.Connection
) -> None:
    await setup.run(in_order(lambda: setup.claim_elsewhere(say("too late"))))

    assert reply(sql) == []
    assert sql.execute("SELECT status, attempt FROM turns").fetchall() == [("running", 2)]


async def test_an_agent_used_as_a_tool_does_not_go_on_talking(
    setup: Setup, sql: psycopg.Connection
) -> None:
    @effect_tool
    def note(effect: Any) -> str:
        """Note."""
        return "noted"

    inner = Agent[TurnContext](name="inner", model="inner", tools=[note])
    setup.zombie.agent = Agent(name="outer", tools=[inner.as_tool("ask", "Ask.")])
    script = by_model(
        {
            "default": in_order(call("ask", input="x"), say("too late")),
            "inner": in_order(
                lambda: setup.claim_elsewhere(call("note", "call_2")), say("too late")
            ),
        }
    )

    await setup.run(script)

    assert [asked.model for asked in setup.zombie.model.asked] == ["default", "inner"]
    assert reply(sql) == []


async def test_who_waits_for_it_gets_the_others_reply(
    new_bench: NewBench, expire: Callable[[UUID], None]
) -> None:
    async def overtaken() -> Items:
        turn_id = (
            bench.transcript.turns("alice", session_id, status="running", limit=1, cursor=None)
            .items[0]
            .id
        )
        expire(turn_id)
        await other.send(session_id, key="k")
        return say("too late")

    bench, other = new_bench(in_order(overtaken)), new_bench(in_order(say("from the other")))
    session_id = bench.new_session()

    sent = await bench.send(session_id, key="k")

    assert sent.view.reply is not None
    assert sent.view.reply.content == "from the other"


async def test_a_turn_cancelled_while_it_runs_stays_cancelled(
    setup: Setup, sql: psycopg.Connection
) -> None:
    def cancel() -> Items:
        ending = Ending("cancelled", "cancelled", "You stopped it.", remembered=False)
        assert setup.zombie.turns.stop(setup.turn, ending, Usage(), None)
        return call("add_task", title="milk")

    await setup.run(in_order(cancel, say("too late")))

    assert sql.execute("SELECT status FROM turns").fetchall() == [("cancelled",)]
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    assert reply(sql) == []


async def test_a_session_deleted_while_it_runs_stays_deleted(
    new_bench: NewBench, sql: psycopg.Connection
) -> None:
    def delete() -> Items:
        bench.sessions.delete("alice", session_id)
        return call("add_task", title="milk")

    bench = new_bench(in_order(delete, say("too late")))
    session_id = bench.new_session()

    with pytest.raises(NotFound):
        await bench.send(session_id)

    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)


async def test_renewing_finds_out_that_it_was_replaced(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)

    async def think() -> Items:
        setup.claim_elsewhere(say(""))
        await asyncio.sleep(3600)
        return say("never")

    await setup.run(in_order(think))

    assert len(setup.zombie.model.asked) == 1


async def test_a_long_turn_keeps_its_lease(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)

    async def think() -> Items:
        sql.execute("UPDATE turns SET lease_expires_at = now() + interval '1 second'")
        renewed = "SELECT FROM turns WHERE lease_expires_at > now() + interval '30 seconds'"
        await until(lambda: sql.execute(renewed).fetchall())
        return say("held")

    bench = new_bench(in_order(think))

    sent = await bench.send(bench.new_session())

    assert sent.view.reply is not None
    assert sent.view.reply.content == "held"
