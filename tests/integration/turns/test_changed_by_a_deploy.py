"""A deploy that changes the agent between two attempts of a turn: what happened still counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent, function_tool

from parley.errors import StoreUnavailable, TurnFailed
from parley.memory.store import AgentSessionStore
from parley.repository.tool_calls import ToolCallRepository
from parley.runner.tools import effect_tool
from parley.turns.context import Effect, TurnContext
from parley_testing.models.scripted import Script, by_model, call, in_order, say
from parley_testing.workbench import Workbench
from tasks_desk import tasks

NewBench = Callable[..., Workbench]
GONE_AWAY = StoreUnavailable("model", "the process ends here")


@effect_tool
def add(effect: Effect, title: str) -> str:
    """Add a task."""
    return f"added {tasks.add(effect.db, effect.user_id, title).title}"


@function_tool
def look() -> str:
    """Look."""
    return "seen"


@effect_tool
def insert(effect: Effect, title: str) -> str:
    """Add a task, under the tool's new name."""
    return f"inserted {tasks.add(effect.db, effect.user_id, title).title}"


def agent(*tools: Any, **fields: Any) -> Agent[TurnContext]:
    return Agent(name="todo", tools=list(tools), **fields)


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@pytest.fixture
def titles(sql: psycopg.Connection) -> Callable[[], list[str]]:
    return lambda: [row[0] for row in sql.execute("SELECT title FROM tasks ORDER BY title")]


async def stopped(
    new_bench: NewBench, before: Agent[TurnContext], script: Script, *, records: int = 99
) -> UUID:
    """Run a turn before the deploy until its attempt ends, and give the session.

    It ends when a store cannot serve: as the script has it, or after so many records.
    """

    def full() -> None:
        if bench.watched.calls.count("record") > records:
            raise GONE_AWAY

    bench = new_bench(script, agent=before)
    bench.watched.before["record"] = full
    session_id = bench.new_session()
    with pytest.raises(StoreUnavailable):
        await bench.send(session_id, "add milk", key="k")
    return session_id


def told(bench: Workbench, place: int = 0) -> dict[str, Any]:
    items = bench.model.asked[place].input
    return {item["call_id"]: item["output"] for item in items if "output" in item}


@pytest.mark.parametrize("now", [(look,), (look, insert)], ids=["gone", "renamed"])
async def test_the_output_of_a_tool_that_is_gone_is_given_by_call_id(
    new_bench: NewBench, titles: Callable[[], list[str]], now: tuple[Any, ...]
) -> None:
    both = call("add", "c1", title="milk") + call("look", "c2") + call("add", "c3", title="tea")
    session_id = await stopped(new_bench, agent(add, look), in_order(both, GONE_AWAY))
    bench = new_bench(in_order(say("Added."), say("You are welcome.")), agent=agent(*now))

    sent = await bench.send(session_id, "add milk", key="k")

    assert sent.view.reply is not None
    assert (sent.view.reply.content, sent.view.turn.model_calls) == ("Added.", 2)
    assert titles() == ["milk", "tea"]
    assert told(bench) == {"c1": "added milk", "c2": "seen", "c3": "added tea"}

    await bench.send(session_id, "thanks")

    assert [*told(bench, 1).values()] == [*told(bench).values()]
    # What stands in for the tool is not offered to the model.
    assert [asked.tools for asked in bench.model.asked] == [[tool.name for tool in now]] * 2


async def test_a_turn_goes_on_with_the_tools_that_there_are_now(
    new_bench: NewBench, titles: Callable[[], list[str]]
) -> None:
    steps = call("add", "c1", title="milk"), call("add", "c2", title="tea"), GONE_AWAY
    session_id = await stopped(new_bench, agent(add), in_order(*steps))
    script = in_order(call("insert", "c3", title="jam"), say("Added."))
    bench = new_bench(script, agent=agent(insert))

    sent = await bench.send(session_id, "add milk", key="k")

    assert sent.view.turn.status == "completed"
    assert titles() == ["jam", "milk", "tea"]
    assert told(bench, 1) == {"c1": "added milk", "c2": "added tea", "c3": "inserted jam"}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_tool_of_an_agent_that_is_used_as_a_tool_may_be_gone(
    new_bench: NewBench, titles: Callable[[], list[str]], streamed: bool
) -> None:
    def outer(*tools: Any) -> Agent[TurnContext]:
        async def heard(event: Any) -> None:
            """Having one makes the SDK stream the inner agent."""

        inner = Agent[TurnContext](name="inner", model="inner", tools=list(tools))
        return agent(inner.as_tool("ask", "Ask.", on_stream=heard if streamed else None))

    script = by_model(
        {
            "default": in_order(call("ask", "c1", input="x")),
            "inner": in_order(call("add", "c2", title="milk"), say("not recorded")),
        }
    )
    session_id = await stopped(new_bench, outer(add), script, records=2)
    rest = {"inner": in_order(say("It is there.")), "default": in_order(say("Added."))}
    bench = new_bench(by_model(rest), agent=outer(look))

    sent = await bench.send(session_id, "add milk", key="k")

    assert sent.view.turn.status == "completed"
    assert titles() == ["milk"]
    assert (told(bench), told(bench, 1)) == ({"c2": "added milk"}, {"c1": "It is there."})
    assert [asked.tools for asked in bench.model.asked] == [["look"], ["ask"]]


async def test_an_agent_used_as_a_tool_may_be_gone_if_its_output_is_recorded(
    new_bench: NewBench, titles: Callable[[], list[str]]
) -> None:
    inner = Agent[TurnContext](name="inner", model="inner", tools=[add])
    script = by_model(
        {
            "default": in_order(call("ask", "c1", input="x"), GONE_AWAY),
            "inner": in_order(call("add", "c2", title="milk"), say("It is there.")),
        }
    )
    session_id = await stopped(new_bench, agent(inner.as_tool("ask", "Ask.")), script)
    bench = new_bench(in_order(say("Added.")), agent=agent())

    sent = await bench.send(session_id, "add milk", key="k")

    assert sent.view.turn.model_calls == 4
    assert titles() == ["milk"]
    assert told(bench) == {"c1": "It is there."}


async def not_carried_on(new_bench: NewBench, session_id: UUID, now: Agent[TurnContext]) -> str:
    """See the turn fail without a model being asked, and give what the user is told."""
    bench = new_bench(in_order(), agent=now)
    with pytest.raises(TurnFailed, match="agent_changed") as failed:
        await bench.send(session_id, "add milk", key="k")
    assert bench.model.asked == []
    return failed.value.detail


async def test_a_call_without_an_output_cannot_be_made_up_for(
    new_bench: NewBench, titles: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the second of two calls of one tool was not made any more."""
    calls = call("add", "c1", title="milk") + call("add", "c2", title="tea")
    bench = new_bench(in_order(calls), agent=agent(add))
    session_id = bench.new_session()
    in_transaction = type(bench.database).transaction
    begun: list[Any] = []

    def once(database: Any, scope: Any) -> Any:
        begun.append(database)
        if len(begun) > 1:
            raise GONE_AWAY
        return in_transaction(database, scope)

    with monkeypatch.context() as patch:
        patch.setattr(type(bench.database), "transaction", once)
        with pytest.raises(StoreUnavailable):
            await bench.send(session_id, "add milk", key="k")

    detail = await not_carried_on(new_bench, session_id, agent(look))

    assert 'add({"title": "milk"})' in detail
    assert titles() == ["milk"]
    later = new_bench(in_order(say("ok")), agent=agent(look))
    await later.send(session_id, "and now?")
    assert later.model.asked[0].input[1]["content"] == detail


async def test_an_agent_used_as_a_tool_that_is_gone_before_it_has_answered_is_not_made_up_for(
    new_bench: NewBench, titles: Callable[[], list[str]]
) -> None:
    inner = Agent[TurnContext](name="inner", model="inner", tools=[add])
    script = by_model(
        {
            "default": in_order(call("ask", "c1", input="x")),
            "inner": in_order(call("add", "c2", title="milk"), say("not recorded")),
        }
    )
    before = agent(inner.as_tool("ask", "Ask."))
    session_id = await stopped(new_bench, before, script, records=2)

    assert "milk" in await not_carried_on(new_bench, session_id, agent(add))
    assert titles() == ["milk"]


async def test_an_agent_that_is_not_handed_over_to_any_more_is_not_made_up_for(
    new_bench: NewBench, titles: Callable[[], list[str]]
) -> None:
    second = Agent[TurnContext](name="second", model="second", tools=[add])
    script = by_model(
        {
            "default": in_order(call("transfer_to_second", "c1")),
            "second": in_order(call("add", "c2", title="milk"), GONE_AWAY),
        }
    )
    session_id = await stopped(new_bench, agent(handoffs=[second]), script)

    assert "milk" in await not_carried_on(new_bench, session_id, agent(add))
    assert titles() == ["milk"]


async def test_a_tool_whose_call_is_not_recorded_is_not_made_up_for_by_another_of_its_name(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output counts for its own call, not for the next call of the same tool."""
    record = ToolCallRepository.record

    def only_first(self: Any, turn: Any, made: Any) -> None:
        if made.call_id == "c2":
            raise GONE_AWAY
        record(self, turn, made)

    script = in_order(call("look", "c1"), call("look", "c2"))
    with monkeypatch.context() as patch:
        patch.setattr(ToolCallRepository, "record", only_first)
        session_id = await stopped(new_bench, agent(look), script)

    assert await not_carried_on(new_bench, session_id, agent(add))
