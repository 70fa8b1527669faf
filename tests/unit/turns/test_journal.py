"""What is recorded of a turn, and what the next attempt makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest

from parley.errors import Fenced
from parley.memory.codec import Unreadable
from parley.memory.store import TurnMemory
from parley.repository.tool_calls import Called, ToolCall
from parley.repository.turns import ModelStep, Usage
from parley.turns.journal import Journal
from parley.turns.scope import inside_call
from parley.usage.spent import Spent
from parley.usage.tokens import Tokens
from parley_testing.stores.in_memory import SECOND_ATTEMPT, Stores

CALLED = Called("c", "add", "{}")
TOKENS = {"input_tokens": 5, "output_tokens": 3}
SPENT = Spent.on_call("m", Tokens(5, 2, None, 3, 1), 40)


@pytest.fixture
def stores() -> Stores:
    return Stores()


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.attempt().journal


@pytest.fixture
def next_journal(stores: Stores) -> Journal:
    """That of the attempt which carries the turn on."""
    return stores.attempt(SECOND_ATTEMPT).journal


def answer(*call_ids: str, **more: Any) -> dict[str, Any]:
    """The record of a model's answer that calls tools."""
    output = [{"type": "function_call", "call_id": each} for each in call_ids]
    return {"output": output, "usage": TOKENS, **more}


def step(name: str, ended_at: str) -> ModelStep:
    return ModelStep(name=name, error=None, milliseconds=1, ended_at=ended_at)


async def test_calls_are_counted_below_the_tool_call_around_them(journal: Journal) -> None:
    async def inner(call_id: str) -> list[str]:
        with inside_call(call_id):
            first = journal.next_position()
            await asyncio.sleep(0)
            with inside_call("deeper"):
                deeper = journal.next_position()
            return [first, deeper, journal.next_position()]

    before = journal.next_position()
    a, b = await asyncio.gather(inner("a"), inner("b"))

    assert [before, journal.next_position()] == ["0", "1"]
    assert a == ["a/0", "a/deeper/0", "a/1"]
    assert b == ["b/0", "b/deeper/0", "b/1"]


async def test_a_call_that_is_tried_again_stands_in_the_same_place(journal: Journal) -> None:
    journal.next_position()
    failed = journal.next_position()

    assert journal.step_back() == 1
    assert journal.next_position() == failed


def test_only_of_the_root_s_calls_a_step_is_told(journal: Journal) -> None:
    with inside_call("a"):
        journal.next_position()
        assert journal.step_back() is None


def test_runs_in_one_place_stand_by_themselves_but_for_the_first(journal: Journal) -> None:
    positions = []
    with inside_call("a"):
        for _ in range(3):
            with journal.inside_run():
                positions.append(journal.next_position())

    assert positions == ["a/0", "a/run 1/0", "a/run 2/0"]


def test_a_run_that_starts_again_is_given_its_answers_again(journal: Journal) -> None:
    with inside_call("a"), journal.inside_run():
        first = journal.next_position()

    journal.rewind()

    with inside_call("a"), journal.inside_run():
        assert journal.next_position() == first


def test_what_tools_a_model_is_offered_is_known_where_it_is_asked(journal: Journal) -> None:
    journal.offer(["root"])
    with inside_call("a"):
        assert journal.offered() == ()
        journal.offer(["inner"])
        assert journal.offered() == ("inner",)

    assert journal.offered() == ("root",)


async def test_an_answer_is_kept_with_the_digest_of_who_gave_it(
    journal: Journal, next_journal: Journal, stores: Stores
) -> None:
    journal.digest = next_journal.digest = "one"

    await journal.record_response("0", answer("c"))
    next_journal.resume(stores.memory.records, {})

    assert next_journal.records["0"] == {**answer("c"), "digest": "one"}
    assert not next_journal.agent_changed
    next_journal.digest = "two"
    assert next_journal.agent_changed


async def test_what_cannot_be_kept_is_not_gone_on_from(journal: Journal, stores: Stores) -> None:
    stores.memory.attempt = 2  # somebody has the turn by now

    with pytest.raises(Fenced):
        await journal.record_response("0", answer())
    with pytest.raises(Fenced):
        await journal.record_verdict("guardrail words/0", {})

    assert (journal.records, journal.verdicts) == ({}, {})


async def test_answers_and_verdicts_are_told_apart_again(
    journal: Journal, next_journal: Journal, stores: Stores
) -> None:
    await journal.record_verdict("guardrail words/0", {"tripwire_triggered": False})
    await journal.record_response("0", answer())

    next_journal.resume(stores.memory.records, {})

    assert list(next_journal.records) == ["0"]
    assert next_journal.verdicts == {"guardrail words/0": {"tripwire_triggered": False}}


async def test_usage_is_that_of_all_attempts_and_of_calls_that_failed(
    journal: Journal, next_journal: Journal, stores: Stores
) -> None:
    journal.count_failed(SPENT)
    journal.add_step(step("failed", "2026-01-01T00:00:02"))
    journal.count(SPENT)
    journal.add_step(step("answered", "2026-01-01T00:00:03"))
    await journal.record_response("0", answer())
    # Of an agent used as a tool: its position comes later, and it ended before.
    journal.add_step(step("inner", "2026-01-01T00:00:01"))
    journal.count(SPENT)
    await journal.record_response("c/0", answer())

    next_journal.resume(stores.memory.records, {})

    assert next_journal.usage == journal.usage == Usage(3, 15, 9)
    assert [each["name"] for each in next_journal.usage.steps] == ["inner", "failed", "answered"]


async def test_what_failed_is_kept_once(journal: Journal, stores: Stores) -> None:
    journal.count_failed(SPENT)
    await journal.record_response("0", answer())
    await journal.record_response("1", answer())

    kept = stores.memory.records
    assert ("failed" in kept["0"], "failed" in kept["1"]) == (True, False)


def test_ids_of_calls_that_were_recorded_are_taken(next_journal: Journal) -> None:
    next_journal.resume({"0": answer("a", "b")}, {})

    assert next_journal.call_ids == {"a", "b"}


def test_outputs_of_earlier_attempts_count_for_what_the_turn_s_tools_may_tell(
    next_journal: Journal,
) -> None:
    most = next_journal.caps.output_bytes
    outputs = {
        str(number): ToolCall(str(number), "add", "{}", "x" * most, effect=False)
        for number in range(10)
    }

    next_journal.resume({}, outputs)

    assert next_journal.answer(CALLED, "y" * most, effect=False).told == 1_000


@dataclass
class City:
    name: str


async def test_a_value_is_the_tool_s_own_or_made_again(
    journal: Journal, next_journal: Journal, stores: Stores
) -> None:
    value = City("Oslo")
    journal.values["c"] = value
    await journal.record_output(CALLED, '{"name":"Oslo"}')
    assert journal.value("c") is value

    next_journal.resume({}, stores.tool_calls.calls)

    assert next_journal.value("c") == value
    await journal.record_output(Called("d", "add", "{}"), "7")
    assert journal.value("d") == "7"  # what was told as it is is not read as JSON


@dataclass
class Mine:
    seen: int = 0
    left: int = 0


async def test_what_a_call_changed_in_the_context_is_kept_with_it(stores: Stores) -> None:
    attempt = stores.attempt()
    own = Mine()
    attempt.give_context(own)
    own.left = 1  # before the call
    attempt.journal.begin_call("c")
    own.seen = 2

    await attempt.journal.record_output(CALLED, "ok")

    assert stores.tool_calls.calls["c"].context == {"seen": 2}


async def test_what_else_changed_is_kept_with_the_root_s_next_answer(stores: Stores) -> None:
    attempt = stores.attempt()
    attempt.give_context(Mine(seen=2))

    await attempt.journal.record_response("c/0", answer())
    await attempt.journal.record_response("0", answer())

    kept = stores.memory.records
    assert ("context" in kept["c/0"], kept["0"]["context"]) == (False, {"seen": 2, "left": 0})


async def test_a_call_that_failed_is_kept_with_what_it_raised(
    journal: Journal, stores: Stores
) -> None:
    journal.tool_errors["c"] = "ValueError"

    await journal.record_output(CALLED, "It failed.", raised=True)

    call = stores.tool_calls.calls["c"]
    assert (call.error, call.raised, call.effect) == ("ValueError", True, False)


async def test_memory_is_the_first_attempt_s_and_another_s_when_it_has_claimed_it(
    journal: Journal, next_journal: Journal
) -> None:
    assert (journal.holds_memory, next_journal.holds_memory) == (True, False)

    await next_journal.claim_memory()

    assert next_journal.holds_memory


async def test_damaged_records_are_the_attempt_s_all_the_same(
    next_journal: Journal, stores: Stores
) -> None:
    stores.memory.unreadable = True

    with pytest.raises(Unreadable):
        await next_journal.claim_memory()

    assert next_journal.holds_memory
    assert next_journal.has_records  # which are dropped when the turn has ended


async def test_who_comes_late_does_not_get_it(next_journal: Journal, stores: Stores) -> None:
    stores.memory.attempt = 3

    with pytest.raises(Fenced):
        await next_journal.claim_memory()

    assert not next_journal.holds_memory


async def test_memory_is_finished_when_the_store_says_so(journal: Journal, stores: Stores) -> None:
    stores.memory.attempt = 2
    with pytest.raises(Fenced):
        await journal.finish(TurnMemory([]))
    assert not journal.finished

    stores.memory.attempt = 1
    fresh = stores.attempt(replace(SECOND_ATTEMPT, attempt=1)).journal
    await fresh.finish(TurnMemory([], "ok"))

    assert fresh.finished
    assert stores.memory.finished == TurnMemory([], "ok")
