"""An attempt from its begun turn to its end, and how the turn is let go of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from agents import Agent
from sqlalchemy.exc import ProgrammingError

from parley.errors import (
    Fenced,
    NotFound,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    TurnUnfinished,
)
from parley.ids import TurnKey, Voucher, new_id
from parley.memory.shape import user_message
from parley.memory.store import StoredTurn, TurnMemory
from parley.repository.tool_calls import ToolCall
from parley.repository.transcript import TurnView
from parley.repository.turns import RunningTurn
from parley.runner.agent_run import ContextOverflow, RunFailed
from parley.runner.execute import MISCONFIGURED_ATTEMPTS, Limits, TurnExecutor
from parley.timing import CRASH_SECONDS
from parley.turns.attempt import Attempt
from parley.turns.wakeup import retry_seconds
from parley_testing.stores.in_memory import FIRST_ATTEMPT, SECOND_ATTEMPT, Stores

USAGE = {"model_calls": 1, "input_tokens": 5, "output_tokens": 3}
REPLY = TurnMemory([user_message("hello")], "ok", USAGE)
NOTE = TurnMemory(
    [user_message("hello"), {"role": "assistant", "content": "Done: x."}], None, USAGE
)
ADDED = ToolCall("c", "add", "{}", "ok", effect=True)
WATCHDOG = CRASH_SECONDS
OUTAGE = StoreUnavailable("agent-session store", "down")
MISCONFIGURED = StoreMisconfigured("postgres", "42501")


class Runner:
    """Runs no agent, but answers or raises as the test says, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.shown: list[Sequence[Any]] = []

    async def run(self, agent: Any, attempt: Attempt, remembered: Sequence[Any]) -> TurnMemory:
        self.shown.append(remembered)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, TurnMemory):
            await answer
        return REPLY if not isinstance(answer, TurnMemory) else answer


class World:
    """Stores, an agent and an executor over them."""

    def __init__(self, *answers: Any, calls: Sequence[ToolCall] = ()) -> None:
        self.stores = Stores(*calls)
        self.runner = Runner(*(answers or [REPLY]))
        self.agent: Any = Agent(name="todo")
        self.loaded = 0
        self.taken = 0
        self.context: Any = lambda _, turn: turn
        self.limits = Limits(turn_seconds=60, crashes=3, memory_items=10)

    def load(self, name: str) -> Any:
        self.loaded += 1
        if isinstance(self.agent, Exception):
            raise self.agent
        return self.agent

    def take(self) -> None:
        self.taken += 1

    async def read(self) -> Sequence[StoredTurn]:
        return self.stores.memory.newest

    async def __call__(
        self, turn: RunningTurn = FIRST_ATTEMPT, *, seconds: float = 600, comes_back: bool = False
    ) -> TurnView:
        executor = TurnExecutor(
            database=cast(Any, None),
            turns=cast(Any, self.stores.turns),
            transcript=cast(Any, self.stores.turns),
            tool_calls=cast(Any, self.stores.tool_calls),
            store=cast(Any, self.stores.memory),
            load_agent=self.load,
            runner=cast(Any, self.runner),
            limits=self.limits,
            waker=self.stores.waker,
            make_context=lambda name, turn: self.context(name, turn),
        )
        return await executor.execute(
            turn, self.read(), seconds=seconds, taken=self.take, comes_back=comes_back
        )

    @property
    def woken(self) -> list[int]:
        """For how long each wake-up was put off, but for the watchdog's."""
        delays = list(self.stores.queue.delays)
        if WATCHDOG in delays:
            delays.remove(WATCHDOG)
        return delays

    async def code(self, turn: RunningTurn = FIRST_ATTEMPT, **named: Any) -> str:
        """Carry out a turn that fails, and return by which code."""
        view = await self(turn, **named)
        assert view.turn.status == "failed"
        assert self.stores.turns.ending is not None
        return self.stores.turns.ending.code

    @property
    def detail(self) -> str:
        assert self.stores.turns.ending is not None
        return self.stores.turns.ending.detail


async def test_memory_is_done_before_the_turn_is_completed() -> None:
    world = World()
    order: list[str] = []
    world.stores.memory.done = order
    world.stores.turns.done = order

    view = await world()

    assert view.turn.status == "completed"
    assert order == ["finish", "complete"]
    assert (world.taken, world.stores.queue.delays) == (1, [WATCHDOG])


async def test_a_worker_s_wakeup_that_comes_back_needs_no_other() -> None:
    world = World()

    await world(comes_back=True)

    assert world.stores.queue.delays == []


# An attempt that goes on


async def test_what_an_earlier_attempt_finished_is_completed_without_a_run() -> None:
    world = World()
    world.stores.memory.finished = REPLY

    view = await world(SECOND_ATTEMPT)

    assert view.reply is not None
    assert (view.turn.status, view.reply.content, world.runner.shown) == ("completed", "ok", [])


async def test_a_reply_of_effects_that_postgres_does_not_know_any_more_is_not_given() -> None:
    world = World()
    world.stores.memory.finished = replace(REPLY, tool_calls=1)

    assert await world.code(SECOND_ATTEMPT) == "database_restored"
    assert world.runner.shown == []


async def test_a_note_that_is_there_ends_the_turn_with_its_words() -> None:
    world = World(calls=[ADDED])
    world.stores.memory.finished = replace(NOTE, tool_calls=1)

    assert await world.code(SECOND_ATTEMPT) == "turn_stopped"
    assert world.detail == "Done: x."
    assert "finish" not in world.stores.memory.done


async def test_damaged_records_fail_the_turn_with_its_effects_told() -> None:
    world = World(calls=[ADDED])
    world.stores.memory.unreadable = True

    assert await world.code(SECOND_ATTEMPT) == "memory_unreadable"
    assert "add({})" in world.detail
    assert world.runner.shown == []


async def test_so_do_outputs_whose_records_are_gone() -> None:
    world = World(calls=[ADDED])

    assert await world.code(SECOND_ATTEMPT) == "memory_unreadable"
    assert world.runner.shown == []


async def test_with_its_records_the_turn_goes_on() -> None:
    world = World(calls=[ADDED])
    output = [{"type": "function_call", "call_id": "c"}]
    tokens = {"input_tokens": 5, "output_tokens": 3}
    world.stores.memory.records["0"] = {"output": output, "usage": tokens}

    assert (await world(SECOND_ATTEMPT)).turn.status == "completed"


async def test_a_turn_that_crashed_too_often_is_given_up() -> None:
    world = World()

    assert await world.code(replace(SECOND_ATTEMPT, crashes=3)) == "turn_crashed"
    assert world.runner.shown == []


async def test_but_completed_if_an_attempt_had_finished() -> None:
    world = World()
    world.stores.memory.finished = REPLY

    view = await world(replace(SECOND_ATTEMPT, crashes=6))

    assert view.turn.status == "completed"


async def test_one_that_crashes_whenever_memory_is_asked_is_given_up_without_it() -> None:
    world = World()
    world.stores.memory.fault = ZeroDivisionError()

    assert await world.code(replace(SECOND_ATTEMPT, crashes=7)) == "turn_crashed"


async def test_a_turn_that_was_to_be_cancelled_is() -> None:
    view = await World()(replace(SECOND_ATTEMPT, cancel_requested=True))

    assert view.turn.status == "cancelled"


# The agent


@pytest.mark.parametrize(
    ("agent", "code", "words"),
    [
        (NotFound("agent", "todo"), "agent_not_offered", "is not offered any more"),
        (None, "agent_not_supported", "build() returned nothing"),
        (ImportError("no module named secret"), "agent_failed", "cannot be built: ImportError"),
    ],
    ids=["gone", "no agent", "broken"],
)
async def test_an_agent_that_cannot_be_had_fails_its_turn_and_not_its_session(
    agent: Any, code: str, words: str
) -> None:
    world = World()
    world.agent = agent

    assert await world.code() == code
    assert words in world.detail
    assert "secret" not in world.detail


async def test_an_agent_whose_secret_cannot_be_fetched_is_tried_again() -> None:
    world = World()
    world.agent = StoreUnavailable("secrets", "down")

    with pytest.raises(StoreUnavailable):
        await world()

    assert world.stores.turns.done == ["release"]


async def no_context(name: str, turn: Any) -> None:
    """Make a context, too late."""


@pytest.mark.parametrize(
    ("context", "code", "words"),
    [
        (no_context, "agent_not_supported", "context() is an async function"),
        (lambda name, turn: 1 / 0, "agent_failed", "given its context: ZeroDivisionError"),
    ],
    ids=["async", "broken"],
)
async def test_so_does_a_context_that_cannot_be_made(context: Any, code: str, words: str) -> None:
    world = World()
    world.context = context

    assert await world.code() == code
    assert words in world.detail


# What the agent is shown


def a_past(turns: int, items: int = 1) -> tuple[list[StoredTurn], tuple[Voucher, ...]]:
    """So many turns before, of so many items, newest first, and what vouches for them."""
    keys = [TurnKey(number, new_id()) for number in range(turns, 0, -1)]
    stored = [
        StoredTurn(key, 1, TurnMemory([user_message(f"turn {key.number}")] * items)) for key in keys
    ]
    return stored, tuple(Voucher(key.number, 1, key.id) for key in keys)


async def test_less_of_the_past_is_shown_if_the_model_takes_no_more() -> None:
    world = World(ContextOverflow("too much"), REPLY)
    world.stores.memory.newest, vouched = a_past(4)

    view = await world(replace(FIRST_ATTEMPT, remembered=vouched))

    assert view.turn.status == "completed"
    assert [len(shown) for shown in world.runner.shown] == [4, 2]


async def test_ever_less_is_shown_down_to_nothing() -> None:
    world = World(*[ContextOverflow("too much")] * 3, REPLY)
    world.stores.memory.newest, vouched = a_past(4)

    view = await world(replace(FIRST_ATTEMPT, number=5, remembered=vouched))

    assert view.turn.status == "completed"
    assert [len(shown) for shown in world.runner.shown] == [4, 2, 1, 0]
    assert world.stores.turns.window_from == 5


async def test_what_cannot_be_halved_fails_the_turn() -> None:
    world = World(ContextOverflow("too much"))

    assert await world.code() == "context_overflow"


@pytest.mark.parametrize(("turns", "begins_at"), [(5, None), (6, 4)])
async def test_a_window_that_moves_is_kept_and_what_is_before_it_removed(
    turns: int, begins_at: int | None
) -> None:
    world = World()
    world.stores.memory.newest, vouched = a_past(turns, items=2)

    await world(replace(FIRST_ATTEMPT, number=turns + 1, remembered=vouched))

    assert world.stores.turns.window_from == begins_at
    removed = [each for each in world.stores.memory.done if "forget before" in each]
    assert removed == ([] if begins_at is None else ["forget before 4"])


async def test_less_of_the_past_is_where_the_window_begins_from_then_on() -> None:
    world = World(ContextOverflow("too much"), REPLY)
    world.stores.memory.newest, vouched = a_past(4)

    await world(replace(FIRST_ATTEMPT, remembered=vouched))

    assert world.stores.turns.window_from == 3


async def test_memory_that_is_about_to_expire_is_written_back_after_the_end() -> None:
    world = World()
    (last,), vouched = a_past(1)
    world.stores.memory.newest = [replace(last, ends_soon=True)]

    await world(replace(FIRST_ATTEMPT, number=2, remembered=vouched))

    assert world.stores.memory.done == ["finish", "write back"]


# How a turn is let go of


async def test_a_run_that_failed_ends_the_turn_with_its_code() -> None:
    world = World(RunFailed("model_failed", "No."))

    assert await world.code() == "model_failed"


async def test_time_that_is_up_for_the_invocation_leaves_the_turn_to_the_next() -> None:
    world = World(asyncio.Event().wait())

    with pytest.raises(TurnUnfinished):
        await world(seconds=0.01)

    assert world.stores.turns.done == ["release"]
    assert world.woken == [0]


async def test_time_that_is_up_for_the_turn_ends_it() -> None:
    world = World(asyncio.Event().wait())
    world.limits = replace(world.limits, turn_seconds=0.01)

    assert await world.code() == "turn_too_long"


@pytest.mark.parametrize(
    ("error", "released", "woken"),
    [
        (OUTAGE, "release", [retry_seconds(1)]),
        (MISCONFIGURED, "release", [retry_seconds(1)]),
        (ZeroDivisionError(), "release, crashed", [retry_seconds(1)]),
        (Fenced(1, 1), "release", [0]),
        (asyncio.CancelledError(), "release", [0]),
    ],
    ids=["outage", "misconfigured", "defect", "replaced", "cancelled"],
)
async def test_what_ends_an_attempt_leaves_the_turn_to_the_next(
    error: Any, released: str, woken: list[int]
) -> None:
    async def fail() -> None:
        raise error

    world = World(fail())

    with pytest.raises(type(error)):
        await world()

    assert world.stores.turns.done == [released]
    assert world.woken == woken


async def test_who_was_replaced_by_somebody_wakes_nobody() -> None:
    world = World(Fenced(1, 1))
    world.stores.turns.held = False

    with pytest.raises(Fenced):
        await world()

    assert world.woken == []


async def test_a_defect_behind_a_wakeup_that_comes_back_wakes_nobody_else() -> None:
    world = World(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await world(comes_back=True)

    assert (world.stores.turns.done, world.woken) == (["release, crashed"], [])


async def test_what_a_store_will_never_take_ends_the_turn() -> None:
    world = World()
    world.stores.memory.fault = StoreRefused("agent-session store", "too large")

    assert await world.code() == "store_refused"


async def test_so_does_what_postgres_refuses() -> None:
    world = World(ProgrammingError("SELECT", {}, Exception()))

    assert await world.code() == "store_refused"


async def test_a_store_that_is_misconfigured_for_ever_ends_the_turn() -> None:
    world = World(MISCONFIGURED)

    assert await world.code(replace(FIRST_ATTEMPT, attempt=MISCONFIGURED_ATTEMPTS)) == (
        "store_refused"
    )
