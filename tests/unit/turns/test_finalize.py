"""The end of a turn: what it writes where, also if a store refuses to take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from parley.errors import Fenced, StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.memory.store import TurnMemory
from parley.repository.cancel import CANCELLED
from parley.repository.tool_calls import ToolCall
from parley.repository.turns import RunningTurn, Usage
from parley.turns.attempt import Attempt
from parley.turns.finalize import REFUSED, Finalizer, release
from parley_testing.stores.in_memory import FIRST_ATTEMPT, SECOND_ATTEMPT, Stores

ADDED = ToolCall("c", "add", '{"title":"milk"}', "ok", effect=True)
READ = ToolCall("d", "look", "{}", "ok", effect=False)
REPLY = TurnMemory([], "ok", {"model_calls": 1, "input_tokens": 5, "output_tokens": 3})
TO_CANCEL = replace(SECOND_ATTEMPT, cancel_requested=True)

Prepare = Callable[[Stores], None]


def finalizer(stores: Stores) -> Finalizer:
    return Finalizer(cast(Any, stores.turns), cast(Any, stores.turns), stores.waker)


async def failed(stores: Stores, attempt: Attempt, *, noted: bool = False) -> str:
    """Fail a turn, and return the detail that it has then."""
    view = await finalizer(stores).stop(attempt, "failed", "model_failed", "No.", noted=noted)
    assert view.turn.status == "failed"
    assert stores.turns.ending is not None
    return stores.turns.ending.detail


async def test_a_completed_turn_is_told_as_it_will_be_read() -> None:
    stores = Stores()

    view = await finalizer(stores).complete(stores.attempt(), REPLY)

    assert (view.turn.status, view.turn.input_tokens, view.turn.ended_at) == (
        "completed",
        5,
        FIRST_ATTEMPT.created_at,
    )
    assert view.user_message is not None
    assert view.reply is not None
    assert (view.user_message.content, view.reply.content) == ("hello", "ok")
    assert stores.queue.delays == []


async def test_a_turn_that_somebody_else_has_is_not_completed() -> None:
    stores = Stores()
    stores.turns.held = False

    with pytest.raises(Fenced):
        await finalizer(stores).complete(stores.attempt(), REPLY)


@pytest.mark.parametrize("end", ["complete", "stop"])
async def test_a_turn_that_waits_behind_it_is_woken_for(end: str) -> None:
    stores = Stores()
    stores.turns.more = True

    if end == "complete":
        await finalizer(stores).complete(stores.attempt(), REPLY)
    else:
        await failed(stores, stores.attempt())

    assert stores.queue.delays == [0]


async def test_without_effects_nothing_is_remembered_and_records_go_after_the_end() -> None:
    stores = Stores(READ)
    attempt = stores.attempt()
    await attempt.journal.record_response("0", {"output": [], "usage": {}})

    detail = await failed(stores, attempt)

    assert detail == "No."
    assert stores.turns.ending is not None
    assert not stores.turns.ending.remembered
    assert stores.memory.done == ["record 0", "discard"]
    assert stores.memory.finished is None


async def test_a_turn_that_recorded_nothing_costs_the_store_nothing() -> None:
    stores = Stores()

    await failed(stores, stores.attempt())

    assert stores.memory.done == []


async def test_records_that_cannot_be_dropped_do_not_undo_the_end() -> None:
    stores = Stores()
    attempt = stores.attempt()
    await attempt.journal.record_response("0", {"output": [], "usage": {}})
    stores.memory.fault = StoreUnavailable("agent-session store", "down")

    assert await failed(stores, attempt) == "No."


async def test_effects_are_noted_in_memory_and_in_the_detail() -> None:
    stores = Stores(ADDED, READ)
    attempt = stores.attempt()
    await attempt.journal.record_response("0", {"output": [], "usage": {}})

    detail = await failed(stores, attempt)

    done = 'Already done before that, and not to be repeated: add({"title":"milk"}).'
    assert detail == f"No. {done}"
    left = stores.memory.finished
    assert left is not None
    assert (left.reply, left.tool_calls) == (None, 1)
    assert [item["content"] for item in left.items] == ["hello", detail]
    assert stores.turns.ending is not None
    assert stores.turns.ending.remembered
    assert "discard" not in stores.memory.done


async def test_a_note_that_is_there_is_not_written_again() -> None:
    stores = Stores(ADDED)

    assert await failed(stores, stores.attempt(), noted=True) == "No."

    assert stores.memory.finished is None
    assert stores.turns.ending is not None
    assert stores.turns.ending.remembered


async def test_an_attempt_that_has_not_claimed_memory_leaves_its_note_to_the_transcript() -> None:
    stores = Stores(ADDED)

    await failed(stores, stores.attempt(SECOND_ATTEMPT))

    assert stores.memory.done == []
    assert stores.turns.ending is not None
    assert stores.turns.ending.remembered


@pytest.mark.parametrize(("finished", "remembered"), [(False, True), (True, False)])
async def test_a_note_that_memory_refuses_is_vouched_for_unless_something_else_stands_there(
    finished: bool, remembered: bool
) -> None:
    stores = Stores(ADDED)
    attempt = stores.attempt()
    attempt.journal.finished = finished
    stores.memory.fault = StoreRefused("agent-session store", "too large")

    detail = await failed(stores, attempt)

    assert "add(" in detail
    assert stores.turns.done == ["stop"]  # with its usage
    assert stores.turns.ending is not None
    assert stores.turns.ending.remembered is remembered


async def test_effects_that_cannot_be_read_are_told_of_as_such() -> None:
    stores = Stores(ADDED)
    stores.tool_calls.fault = StoreMisconfigured("postgres", "42501")

    assert await failed(stores, stores.attempt()) == (
        "No. What its tools had done before that cannot be read."
    )


async def test_an_outage_is_no_end() -> None:
    stores = Stores()
    stores.tool_calls.fault = StoreUnavailable("postgres", "down")

    with pytest.raises(StoreUnavailable):
        await failed(stores, stores.attempt())

    assert stores.turns.ending is None


async def test_an_end_whose_usage_is_refused_is_made_without_it() -> None:
    stores = Stores()
    stores.turns.refuses_usage = StoreRefused("postgres", "22003")

    assert await failed(stores, stores.attempt()) == "No."
    assert stores.turns.done == ["stop barely"]


async def test_a_refused_write_before_does_not_keep_the_turn_open() -> None:
    stores = Stores()
    attempt = stores.attempt()
    attempt.lease.broken = StoreRefused("agent-session store", "too large")

    assert await failed(stores, attempt) == "No."
    assert stores.turns.done == ["stop"]


async def test_a_turn_that_was_replaced_is_not_stopped() -> None:
    stores = Stores()
    stores.turns.held = False

    with pytest.raises(Fenced):
        await failed(stores, stores.attempt())


@pytest.mark.parametrize(
    ("turn", "status", "code"),
    [(FIRST_ATTEMPT, "failed", REFUSED), (TO_CANCEL, "cancelled", CANCELLED)],
    ids=["run", "to be cancelled"],
)
async def test_a_turn_that_is_given_up_ends_as_was_wanted(
    turn: RunningTurn, status: str, code: str
) -> None:
    stores = Stores()

    await finalizer(stores).give_up(stores.attempt(turn), StoreRefused("postgres", "22003"))

    ending = stores.turns.ending
    assert ending is not None
    assert (ending.status, ending.code) == (status, code)
    if status == "failed":
        assert ending.detail == "What the turn had to keep was refused by the postgres (22003)."


def nothing(stores: Stores) -> None:
    """Leave memory as it is."""


def a_reply(stores: Stores) -> None:
    stores.memory.finished = REPLY
    stores.tool_calls.fault = AssertionError("a reply without tools costs no look at them")


def a_reply_of_effects_that_are_gone(stores: Stores) -> None:
    stores.memory.finished = replace(REPLY, tool_calls=1)


def a_reply_of_effects(stores: Stores) -> None:
    a_reply_of_effects_that_are_gone(stores)
    stores.tool_calls.calls["c"] = ADDED


def a_note(stores: Stores) -> None:
    stores.memory.finished = replace(REPLY, reply=None)


def damage(stores: Stores) -> None:
    stores.memory.unreadable = True


def a_refusal(stores: Stores) -> None:
    stores.memory.fault = StoreRefused("agent-session store", "no")


@pytest.mark.parametrize(
    ("prepare", "status"),
    [
        (nothing, "cancelled"),
        (a_reply, "completed"),
        (a_reply_of_effects, "completed"),
        (a_reply_of_effects_that_are_gone, "cancelled"),
        (a_note, "cancelled"),
        (damage, "cancelled"),
        (a_refusal, "cancelled"),
    ],
)
async def test_cancelling_completes_what_had_its_reply_and_ends_all_else(
    prepare: Prepare, status: str
) -> None:
    stores = Stores()
    prepare(stores)

    view = await finalizer(stores).cancel(stores.attempt(TO_CANCEL))

    assert view.turn.status == status
    assert stores.memory.done[0] == "claim"


async def test_a_cancelled_turn_keeps_what_its_model_calls_came_to() -> None:
    stores = Stores()
    tokens = {"input_tokens": 5, "output_tokens": 3}
    stores.memory.records["0"] = {"output": [], "usage": tokens}
    attempt = stores.attempt(TO_CANCEL)

    await finalizer(stores).cancel(attempt)

    assert attempt.journal.usage == Usage(1, 5, 3)


async def test_a_turn_is_released_or_its_lease_runs_out() -> None:
    stores = Stores()
    turns: Any = stores.turns

    assert await release(turns, FIRST_ATTEMPT)
    assert await release(turns, FIRST_ATTEMPT, crashed=True)
    stores.turns.held = False
    assert not await release(turns, FIRST_ATTEMPT)
    stores.turns.fault = StoreUnavailable("postgres", "down")
    assert not await release(turns, FIRST_ATTEMPT)

    assert stores.turns.done == ["release", "release, crashed", "release", "release"]
