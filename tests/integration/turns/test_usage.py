"""What turns came to: by model, once, however they end, and summed by day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent, function_tool

from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.turns.context import TurnContext
from parley.usage.spent import Spent, in_all
from parley_testing.models.scripted import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    by_model,
    call,
    in_order,
    say,
)
from parley_testing.workbench import Workbench, held, request

NewBench = Callable[..., Workbench]
DEAR, CHEAP, OWN = "gpt-5", "gpt-5-mini", "mine"
COSTS = {
    DEAR: INPUT_TOKENS * 1_250 + OUTPUT_TOKENS * 10_000,
    CHEAP: INPUT_TOKENS * 250 + OUTPUT_TOKENS * 2_000,
}


@function_tool
def look_up() -> str:
    """Look something up."""
    return "found"


INNER = Agent[TurnContext](name="inner", model=CHEAP)
AGENT = Agent[TurnContext](name="one", model=DEAR, tools=[look_up, INNER.as_tool("ask", "Ask.")])


def spent(model: str, calls: int) -> Spent:
    cost = COSTS.get(model)
    return Spent(
        model,
        calls,
        calls * INPUT_TOKENS,
        0,
        calls * OUTPUT_TOKENS,
        0,
        None if cost is None else calls * cost,
        unpriced=calls if cost is None else 0,
    )


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@pytest.fixture
def by_day(sql: psycopg.Connection) -> Callable[[], list[Spent]]:
    """Read what is kept of all days."""

    def read() -> list[Spent]:
        rows = sql.execute(
            "SELECT model, calls, input_tokens, cached_tokens, output_tokens, reasoning_tokens,"
            " cost_nanodollars::bigint, uncounted_calls, unpriced_calls FROM daily_usage"
            " ORDER BY user_id, day, agent, model"
        )
        return [Spent(*row) for row in rows]

    return read


async def test_a_turn_with_a_tool_and_two_models(
    new_bench: NewBench, by_day: Callable[[], list[Spent]]
) -> None:
    """Then each model has its sum and its price, and the turn that of both."""
    scripts = {
        DEAR: in_order(call("look_up"), call("ask", "c2", input="what"), say("That.")),
        CHEAP: in_order(say("This.")),
    }
    bench = new_bench(by_model(scripts), agent=AGENT)

    turn = (await bench.send(bench.new_session())).view.turn

    both = [spent(DEAR, 3), spent(CHEAP, 1)]
    assert turn.spent == in_all(both)
    assert turn.spent.cost == 3 * COSTS[DEAR] + COSTS[CHEAP]
    assert by_day() == both
    read = bench.transcript.turn("alice", turn.session_id, turn.id)
    assert read.turn.spent == turn.spent
    steps = [step.spent for step in bench.transcript.steps("alice", turn.id) if step.spent]
    assert in_all(steps) == turn.spent


async def test_a_model_without_a_price_leaves_the_cost_unknown(
    new_bench: NewBench, by_day: Callable[[], list[Spent]]
) -> None:
    """Given one call with a price and one without, then the sum says what it leaves out."""
    agent = AGENT.clone(model=OWN)
    scripts = {
        OWN: in_order(say("Hi."), call("ask", input="what"), say("That.")),
        CHEAP: in_order(say("This.")),
    }
    bench = new_bench(by_model(scripts), agent=agent)
    session_id = bench.new_session()

    first, second = [(await bench.send(session_id)).view.turn for _ in range(2)]

    assert (first.spent.cost, first.spent.unpriced) == (None, 1)
    assert (second.spent.cost, second.spent.unpriced) == (COSTS[CHEAP], 2)
    assert by_day() == [spent(CHEAP, 1), spent(OWN, 3)]


def down(*asked: Any, **named: Any) -> Any:
    raise StoreUnavailable("a store", "down")


@pytest.mark.parametrize("where", ["record an output", "record an answer", "finish", "complete"])
async def test_what_is_replayed_counts_once(
    new_bench: NewBench,
    by_day: Callable[[], list[Spent]],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """Given an attempt that ends there, then at most the call that was not kept is asked again."""
    asked = in_order(call("look_up"), say("Found."), say("Found again."), say("At last."))
    bench = new_bench(asked, agent=AGENT)
    session_id = bench.new_session()
    turn = bench.begin(session_id)
    match where:
        case "record an output":
            monkeypatch.setattr(bench.tool_calls, "record", down)
        case "record an answer":
            bench.watched.before["record"] = down
        case "finish":
            bench.watched.before["finish"] = down
        case _:
            monkeypatch.setattr(bench.turns, "complete", down)
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn)
    monkeypatch.undo()
    bench.watched.before.clear()
    assert by_day() == []
    again = bench.turns.claim_head(session_id).turn
    assert again is not None

    ended = (await bench.execute(again)).turn

    assert ended.status == "completed"
    assert by_day() == [spent(DEAR, ended.model_calls)]
    assert ended.spent == in_all(by_day())
    # The model was asked once more where its answer was not kept: nobody knows of that call.
    lost = {"record an answer": 1, "finish": 1}.get(where, 0)
    assert len(bench.model.asked) == ended.model_calls + lost


async def test_an_ending_that_is_sent_again_counts_once(
    new_bench: NewBench, by_day: Callable[[], list[Spent]]
) -> None:
    """Given a statement whose answer was lost, then the second one adds nothing."""
    bench = new_bench(in_order(say("Hi.")), agent=AGENT)
    turn = bench.begin(bench.new_session())
    complete = bench.turns.complete

    def twice(*given: Any) -> Any:
        complete(*given)
        return complete(*given)

    bench.turns.complete = twice  # type: ignore[method-assign, assignment]

    await bench.execute(turn)

    assert by_day() == [spent(DEAR, 1)]


async def test_turns_that_fail_or_are_cancelled_count_too(
    new_bench: NewBench, by_day: Callable[[], list[Spent]], expire: Callable[[UUID], None]
) -> None:
    """Given a turn that fails, one that is cancelled and one given up, then all are in the sum."""

    def fails(asked: Any) -> Any:
        raise ValueError("no")

    def script(asked: Any) -> Any:
        return call("look_up") if len(asked.input) == 1 else fails(asked)

    bench = new_bench(script, agent=AGENT, crashes=1)
    failed = (await bench.execute(bench.begin(bench.new_session()))).turn

    record, bench.tool_calls.record = bench.tool_calls.record, down  # type: ignore[method-assign]
    open_turns = [bench.begin(bench.new_session()) for _ in range(2)]
    for turn in open_turns:
        with pytest.raises(StoreUnavailable):
            await bench.execute(turn)
    bench.tool_calls.record = record  # type: ignore[method-assign]
    await bench.cancel(open_turns[0])
    crashing = bench.turns.claim_head(open_turns[1].session_id).turn
    assert crashing is not None
    expire(crashing.id)
    given_up = bench.turns.claim_head(open_turns[1].session_id).turn
    assert given_up is not None
    assert given_up.crashes == 1
    abandoned = (await bench.execute(given_up)).turn

    assert (failed.status, abandoned.error_code) == ("failed", "turn_crashed")
    cancelled = bench.transcript.turn("alice", open_turns[0].session_id, open_turns[0].id).turn
    assert cancelled.status == "cancelled"
    turns = [failed, cancelled, abandoned]
    assert [turn.model_calls for turn in turns] == [1, 1, 1]
    assert by_day() == [spent(DEAR, 3)]
    assert in_all(turn.spent for turn in turns) == in_all(by_day())


async def test_turns_of_one_user_that_end_at_once_are_all_in_the_sum(
    new_bench: NewBench, by_day: Callable[[], list[Spent]]
) -> None:
    """Given eight turns that add to the same two rows, then none is lost, nor stuck."""

    def script(asked: Any) -> Any:
        if asked.model == CHEAP:
            return say("This.")
        return call("ask", input="what") if len(asked.input) == 1 else say("That.")

    bench = new_bench(script, agent=AGENT)

    await asyncio.gather(*(bench.send(bench.new_session()) for _ in range(8)))

    assert by_day() == [spent(DEAR, 16), spent(CHEAP, 8)]


async def test_what_the_release_before_left_is_counted_without_a_price(
    new_bench: NewBench, by_day: Callable[[], list[Spent]], expire: Callable[[UUID], None]
) -> None:
    """Given memory that an attempt of that release marked done, then it is counted all the same."""
    bench = new_bench(in_order(say("Hi.")), agent=AGENT)
    turn = bench.begin(bench.new_session())
    finish = bench.store.finish

    def without(key: Any, turn_key: Any, attempt: int, memory: Any) -> Any:
        memory.spent.clear()
        return finish(key, turn_key, attempt, memory)

    bench.store.finish = without  # type: ignore[method-assign, assignment]
    complete, bench.turns.complete = bench.turns.complete, down  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn)
    bench.turns.complete = complete  # type: ignore[method-assign]
    again = held(bench.turns.begin(request(turn.session_id, "more")))

    await bench.execute(again)

    told = in_all(by_day())
    assert (told.calls, told.input, told.cost) == (1, INPUT_TOKENS, None)
