"""Sending a message: what is made of each answer of begin, and for how long it is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import pytest

from parley.errors import (
    Fenced,
    IdempotencyKeyReused,
    NotFound,
    QueueFull,
    SessionNotActive,
    StoreUnavailable,
    TurnFailed,
    TurnInProgress,
    TurnUnfinished,
)
from parley.repository.transcript import TurnView
from parley.repository.turns import Begun, NewSession, TurnRequest
from parley.turns import send as module
from parley.turns.send import OpenedTurn, QueuedTurn, Sender, Sent
from parley.turns.wakeup import Waker
from parley_testing.stores.in_memory import FIRST_ATTEMPT, Queue, view_of

SESSION, TURN, OTHER = FIRST_ATTEMPT.session_id, FIRST_ATTEMPT.id, UUID(int=9)
REQUEST = TurnRequest("alice", SESSION, TURN, UUID(int=3), "hello", "key", b"")
NEW = NewSession("todo", None, "api", {})
RUNNING = Begun("running", SESSION, TURN, True, "running", FIRST_ATTEMPT, "active")
IN_THE_WAY = replace(RUNNING, outcome="resume", own=False, turn=replace(FIRST_ATTEMPT, id=OTHER))
RESUMED = replace(RUNNING, outcome="resume")
ELSEWHERE = replace(RUNNING, outcome="prior", turn=None)
OVER = replace(ELSEWHERE, status="completed")
QUEUED = replace(ELSEWHERE, outcome="queued", status="queued")
COMPLETED = view_of(FIRST_ATTEMPT, "completed", "ok")
FENCED = Fenced(1, 1)

Ending = TurnView | Exception


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.0)


class World:
    """Stores, an executor and a queue that do as a test says.

    Attributes:
        begun: What begin answers, one after the other; its last answer again and again.
        ends: What becomes of each turn that is carried out here.
        carried: The turns that were, and what had been read for each.
    """

    def __init__(self, *begun: Begun, ends: list[Ending] | None = None) -> None:
        self.begun = list(begun)
        self.ends = ends or [COMPLETED]
        self.seen: Ending = COMPLETED
        self.asked: list[TurnRequest] = []
        self.carried: list[tuple[UUID, Any]] = []
        self.reads = 0
        self.read_fault: Exception | None = None
        self.queue = Queue()
        self.sender = Sender(
            cast(Any, self), cast(Any, Seen(self)), cast(Any, self), self, 25,
            Waker(self.queue),
        )  # fmt: skip

    def begin(self, request: TurnRequest, *, enqueue: bool = False, queue: bool = False) -> Begun:
        self.asked.append(request)
        return self.begun.pop(0) if len(self.begun) > 1 else self.begun[0]

    def read_newest(self, conversation: str, turns: int, *, max_bytes: int) -> list[str]:
        self.reads += 1
        if self.read_fault is not None:
            raise self.read_fault
        return ["memory"]

    async def execute(self, turn: Any, first_read: Any, **named: Any) -> TurnView:
        self.carried.append((turn.id, await first_read))
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        named.get("taken", lambda: None)()
        return end


class Seen:
    """The transcript: how the turn stands."""

    def __init__(self, world: World) -> None:
        self._world = world

    def turn(self, *_: Any) -> TurnView:
        if isinstance(self._world.seen, Exception):
            raise self._world.seen
        return self._world.seen


async def test_a_turn_that_begins_here_is_carried_out_and_answered() -> None:
    world = World(RUNNING)

    sent = await world.sender.send(REQUEST, seconds=60)

    assert sent == Sent(COMPLETED, replayed=False)
    assert world.carried == [(TURN, ["memory"])]
    assert (len(world.asked), world.reads) == (1, 1)


async def test_a_turn_without_a_reply_is_an_error_that_says_why() -> None:
    stopped = view_of(FIRST_ATTEMPT, "failed")
    stopped = replace(stopped, turn=replace(stopped.turn, error_code="model_failed"))
    world = World(RUNNING, ends=[stopped])

    with pytest.raises(TurnFailed) as failed:
        await world.sender.send(REQUEST, seconds=60)

    assert (failed.value.status, failed.value.code) == ("failed", "model_failed")


async def test_a_turn_that_is_over_is_read_and_said_to_be_answered_before() -> None:
    world = World(OVER)

    assert await world.sender.send(REQUEST, seconds=60) == Sent(COMPLETED, replayed=True)
    assert world.carried == []


async def test_one_whose_attempt_died_is_carried_on_and_read_as_begin_tells() -> None:
    world = World(RESUMED, OVER)

    # This process has answered it: nothing was replayed.
    assert await world.sender.send(REQUEST, seconds=60) == Sent(COMPLETED, replayed=False)
    assert [turn for turn, _ in world.carried] == [TURN]


async def test_one_that_is_in_the_way_is_brought_to_its_end_first() -> None:
    world = World(IN_THE_WAY, RUNNING, ends=[view_of(FIRST_ATTEMPT, "failed"), COMPLETED])

    assert await world.sender.send(REQUEST, seconds=60) == Sent(COMPLETED, replayed=False)
    assert [turn for turn, _ in world.carried] == [OTHER, TURN]


async def test_time_that_is_up_over_another_s_turn_promises_nothing_of_this_one() -> None:
    world = World(IN_THE_WAY, ends=[TurnUnfinished(SESSION, OTHER)])

    with pytest.raises(TurnInProgress) as refused:
        await world.sender.send(REQUEST, seconds=60)

    assert refused.value.turn_id == OTHER


@pytest.mark.parametrize("first", [RUNNING, IN_THE_WAY], ids=["own", "in the way"])
async def test_of_a_turn_that_was_replaced_it_is_looked_what_became(first: Begun) -> None:
    world = World(first, OVER, ends=[FENCED])

    sent = await world.sender.send(REQUEST, seconds=60)

    assert isinstance(sent, Sent)
    assert sent.replayed is (first is IN_THE_WAY)


async def test_a_session_that_was_opened_is_not_opened_again() -> None:
    world = World(replace(RUNNING, session_id=OTHER), OVER, ends=[FENCED])
    world.begun[0] = replace(world.begun[0], turn=replace(FIRST_ATTEMPT, session_id=OTHER))

    await world.sender.send(replace(REQUEST, opens=NEW), seconds=60)

    first, second = world.asked
    assert first.opens == NEW
    assert (second.opens, second.session_id) == (None, OTHER)


REFUSALS: list[tuple[Begun, type[Exception]]] = [
    (replace(ELSEWHERE, outcome="key_reused"), IdempotencyKeyReused),
    (replace(ELSEWHERE, outcome="not_active", session_status="ended"), SessionNotActive),
    (replace(ELSEWHERE, outcome="busy"), TurnInProgress),
    (replace(ELSEWHERE, outcome="queue_full"), QueueFull),
    (replace(ELSEWHERE, outcome="not_found", turn_id=None), NotFound),
]

Send = Callable[[Sender], Coroutine[Any, Any, Any]]


@pytest.mark.parametrize(
    "send",
    [
        lambda sender: sender.send(REQUEST, seconds=60),
        lambda sender: sender.open(REQUEST, seconds=60),
        lambda sender: sender.queue(REQUEST),
    ],
    ids=["send", "open", "queue"],
)
@pytest.mark.parametrize(("begun", "error"), REFUSALS, ids=[each.outcome for each, _ in REFUSALS])
async def test_what_begin_refuses_is_refused_in_every_mode(
    send: Send, begun: Begun, error: type[Exception]
) -> None:
    world = World(begun)

    with pytest.raises(error):
        await send(world.sender)

    assert (world.carried, world.queue.delays) == ([], [])


async def test_a_turn_that_runs_elsewhere_is_asked_for_again_without_reading_memory() -> None:
    world = World(ELSEWHERE, ELSEWHERE, ELSEWHERE, OVER)

    await world.sender.send(REQUEST, seconds=60)

    assert (len(world.asked), world.reads) == (4, 1)


async def test_who_need_not_wait_is_not_kept_waiting() -> None:
    world = World(ELSEWHERE)

    with pytest.raises(TurnUnfinished):
        await world.sender.send(REQUEST, seconds=60, patience=0)


async def test_who_waits_in_line_is_answered_as_soon_as_its_place_tells() -> None:
    waiting = view_of(FIRST_ATTEMPT, "queued")
    waiting = replace(waiting, turn=replace(waiting.turn, ended_at=None))
    world = World(replace(QUEUED, ahead=4, pace=10.0))
    world.seen = waiting

    sent = await world.sender.send(REQUEST, seconds=60, patience=20, enqueue=True)

    assert sent == QueuedTurn(waiting, replayed=False, least_seconds=50.0)
    assert len(world.asked) == 1
    assert world.queue.delays == [0]  # nobody else may have woken a worker for it


async def test_a_turn_that_waits_is_woken_for_once() -> None:
    world = World(QUEUED, QUEUED, QUEUED, OVER)

    await world.sender.send(REQUEST, seconds=60, enqueue=True)

    assert world.queue.delays == [0]


async def test_one_that_ended_while_it_was_left_is_answered() -> None:
    world = World(QUEUED)

    sent = await world.sender.send(REQUEST, seconds=60, patience=0, enqueue=True)

    assert sent == Sent(COMPLETED, replayed=False)


@pytest.mark.parametrize("begun", [OVER, QUEUED], ids=["over", "queued"])
async def test_a_read_that_failed_does_not_matter_where_nothing_is_run(begun: Begun) -> None:
    world = World(begun)
    world.read_fault = ZeroDivisionError()

    await world.sender.send(REQUEST, seconds=60, patience=0, enqueue=True)

    assert world.reads == 1


async def test_a_begin_that_fails_is_told_of_and_not_the_read_beside_it() -> None:
    world = World(RUNNING)
    world.read_fault = ZeroDivisionError()

    def begin(*_: Any, **__: Any) -> Begun:
        raise StoreUnavailable("postgres", "down")

    world.begin = begin  # type: ignore[method-assign]

    with pytest.raises(StoreUnavailable):
        await world.sender.send(REQUEST, seconds=60)


async def test_the_first_turn_of_a_new_session_has_no_memory_to_read() -> None:
    world = World(RUNNING)

    await world.sender.send(replace(REQUEST, opens=NEW), seconds=60)

    assert (world.carried, world.reads) == ([(TURN, ())], 0)


async def test_that_of_a_session_which_was_there_has() -> None:
    there = replace(FIRST_ATTEMPT, session_id=OTHER)
    world = World(replace(RUNNING, session_id=OTHER, turn=there))

    await world.sender.send(replace(REQUEST, opens=NEW), seconds=60)

    assert world.carried == [(TURN, ["memory"])]


async def test_a_turn_to_be_followed_is_returned_when_the_stores_have_taken_it() -> None:
    world = World(RUNNING)
    take, end = asyncio.Event(), asyncio.Event()

    async def execute(turn: Any, first_read: Any, **named: Any) -> TurnView:
        await first_read
        await take.wait()
        named["taken"]()
        await end.wait()
        return COMPLETED

    world.execute = execute  # type: ignore[method-assign]
    opening = asyncio.ensure_future(world.sender.open(REQUEST, seconds=60))
    await asyncio.sleep(0)
    assert not opening.done()

    take.set()
    opened = await opening

    assert opened == OpenedTurn(SESSION, TURN, opened.work, replayed=False)
    assert opened.work is not None
    assert not opened.work.done()
    end.set()
    assert await opened.work == COMPLETED


async def test_one_that_a_store_did_not_take_is_refused() -> None:
    world = World(RUNNING, ends=[StoreUnavailable("agent-session store", "down")])

    with pytest.raises(StoreUnavailable):
        await world.sender.open(REQUEST, seconds=60)


async def test_one_whose_time_was_up_goes_on_elsewhere_and_can_be_followed() -> None:
    world = World(RUNNING, ends=[TurnUnfinished(SESSION, TURN)])

    opened = await world.sender.open(REQUEST, seconds=60)

    assert opened.work is not None
    with pytest.raises(TurnUnfinished):
        await opened.work


async def test_a_caller_that_is_cancelled_leaves_no_work_behind() -> None:
    world = World(RUNNING)
    begun, ended = asyncio.Event(), []

    async def execute(turn: Any, first_read: Any, **_: Any) -> TurnView:
        await first_read
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(turn.id)
        return COMPLETED

    world.execute = execute  # type: ignore[method-assign]
    opening = asyncio.ensure_future(world.sender.open(REQUEST, seconds=60))
    await begun.wait()

    opening.cancel()
    await asyncio.wait([opening])

    assert (opening.cancelled(), ended) == (True, [TURN])


async def test_one_that_others_carry_out_is_only_found_and_woken_for_if_it_waits() -> None:
    world = World(QUEUED)

    assert await world.sender.open(REQUEST, seconds=60) == OpenedTurn(SESSION, TURN, None, False)
    assert (world.carried, world.queue.delays) == ([], [0])


@pytest.mark.parametrize(
    ("begun", "woken"),
    [(QUEUED, [0]), (ELSEWHERE, [0]), (OVER, [])],
    ids=lambda each: str(each)[:0],
)
async def test_a_message_for_a_worker_wakes_one_unless_it_is_over(
    begun: Begun, woken: list[int]
) -> None:
    world = World(begun)

    queued = await world.sender.queue(replace(REQUEST, turn_id=OTHER))

    assert queued == QueuedTurn(COMPLETED, replayed=True)
    assert (world.queue.delays, world.reads) == (woken, 0)
