"""Rules on a turn's event log and on the queue (turn-protocol, sections 8 and 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from agents import Agent

from parley import Effect, effect_tool
from parley.errors import Fenced, QueueFull
from parley.events import reader, sqlite, writer
from parley.events.fanout import FanOut
from parley.events.log import FINAL, TurnEvent
from parley.events.reader import Follower
from parley.events.sqlite import SqliteEventLog
from parley.events.writer import EventWriter
from parley.ids import conversation_key
from parley.memory.shape import assistant_message, user_message
from parley.memory.store import TurnMemory
from parley.repository import turns
from parley.repository.begin import MAX_QUEUED
from parley.repository.turns import RunningTurn
from parley.timing import CRASH_SECONDS
from parley.turns.attempt import Attempt
from parley.turns.decide import Decider
from parley.turns.finalize import Finalizer
from parley.turns.wakeup import Watchdog
from parley_testing.models.scripted import Gate, Items, Streamed, call, in_order, say
from parley_testing.schedules.wakeups import Wakeup, Wakeups
from parley_testing.waiting import HANG_SECONDS, until
from parley_testing.workbench import Workbench, held, request

NewBench = Callable[..., Workbench]
Expire = Callable[[UUID], None]
USAGE = {"model_calls": 1, "input_tokens": 5, "output_tokens": 3}
_AS_IT_WAS_READ = """ AND t.attempt = head.attempt AND t.status = head.status
    AND CASE t.status WHEN 'queued' THEN locked.status = 'active'
        ELSE t.lease_expires_at < now()
          OR t.lease_expires_at > now() + make_interval(secs => 2 * :lease) END"""


@effect_tool(needs_approval=True)
def pay(effect: Effect) -> str:
    """Pay for something."""
    return "paid"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(tmp_path / "memory.db")
    yield log
    log.close()


@pytest.fixture
def wakeups() -> Wakeups:
    """A queue that delivers nothing by itself."""
    return Wakeups()


def told(log: SqliteEventLog, turn: RunningTurn) -> list[TurnEvent]:
    return log.read(conversation_key(turn.user_id, turn.session_id), turn.key)


def pieces(events: Sequence[TurnEvent]) -> str:
    """Put a message together from its pieces alone."""
    text = ""
    for event in events:
        match event.type:
            case "message.delta":
                text += event.data["text"]
            case "message.reset":
                text = ""
    return text


def logged(bench: Workbench) -> Any:
    """A workbench that keeps a log of what it carries out."""
    return SimpleNamespace(execute=lambda turn: bench.execute(turn, logged=True))


async def test_events_are_only_put_where_the_log_ends(
    kept: bool, rule: Any, new_bench: NewBench, log: SqliteEventLog, expire: Expire
) -> None:
    """Otherwise an attempt that was replaced writes over what the next one has told."""
    rule.without(sqlite, "_APPEND", "WHERE event_chunks.expires_at <= ?", "WHERE ? > 0")
    gate = Gate()
    written = _Breath(lambda: told(log, turn) != before)
    script = in_order(Streamed("A", gate, " bird", written), say("An owl."))
    bench = new_bench(script, events=log)
    turn = bench.begin(bench.new_session())
    zombie = asyncio.ensure_future(bench.execute(turn, logged=True))
    await until(lambda: pieces(told(log, turn)))
    expire(turn.id)
    await bench.execute(held(bench.turns.begin(request(turn.session_id))))
    before = told(log, turn)

    gate.open()
    with pytest.raises(Fenced):
        await zombie

    assert (told(log, turn) == before) is kept


async def test_text_that_is_written_anew_is_taken_back(
    kept: bool, rule: Any, new_bench: NewBench, log: SqliteEventLog, let_die: Any, die: Any
) -> None:
    """Without it who follows reads what two attempts said, one behind the other."""
    put = EventWriter._put

    def not_taken_back(self: EventWriter, kind: Any, data: Any) -> None:
        if kind != "message.reset":
            put(self, kind, data)

    rule.instead(EventWriter, "_put", not_taken_back)
    breath = _Breath(lambda: pieces(told(log, turn)), die)
    bench = new_bench(in_order(Streamed("A bird", breath), Streamed("An owl.")), events=log)
    turn = bench.begin(bench.new_session())
    await let_die(logged(bench), turn)

    await bench.execute(held(bench.turns.begin(request(turn.session_id))))

    assert pieces(told(log, turn)) == ("An owl." if kept else "A birdAn owl.")


async def test_what_was_said_is_told_before_the_turn_ends(
    kept: bool, rule: Any, new_bench: NewBench, log: SqliteEventLog, monkeypatch: Any
) -> None:
    """Otherwise the last pieces are lost, or come behind an end that a reader has made up."""

    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(writer, "GATHER_SECONDS", 3600.0)
    rule.instead(EventWriter, "settle", nothing)
    breath = _Breath(lambda: pieces(told(log, turn)))
    bench = new_bench(in_order(Streamed("An", breath, " owl.")), events=log)
    turn = bench.begin(bench.new_session())

    await bench.execute(turn, logged=True)

    assert pieces(told(log, turn)) == ("An owl." if kept else "An")


async def test_an_attempt_that_comes_late_reads_the_log_before_it_writes(
    kept: bool, rule: Any, new_bench: NewBench, log: SqliteEventLog, expire: Expire
) -> None:
    """Otherwise one that had told nothing yet goes on behind the end."""
    rule.instead(EventWriter, "_stops", lambda *_: False)
    bench = new_bench(in_order(say("hi")), events=log)
    turn = bench.begin(bench.new_session())
    expire(turn.id)
    late = held(bench.turns.begin(request(turn.session_id)))
    expire(turn.id)
    await bench.execute(held(bench.turns.begin(request(turn.session_id))))
    attempt = Attempt(late, bench.database, bench.turns, bench.tool_calls, bench.store)
    refused = False

    try:
        await EventWriter(log, FanOut(), attempt.lease, attempt.journal.records).begin()
    except Fenced:
        refused = True

    assert refused is kept
    assert (told(log, turn)[-1].type in FINAL) is kept


async def test_who_goes_on_with_a_turn_tells_first_that_it_waited_where_nobody_has(
    kept: bool, rule: Any, new_bench: NewBench, log: SqliteEventLog
) -> None:
    """Otherwise what comes next has the number at which readers were told that it waits."""
    rule.instead(writer, "missing_wait", lambda *_, **__: [])
    agent = Agent("till", tools=[pay])
    bench = new_bench(in_order(call("pay", "call_p"), say("Paid.")), events=log, agent=agent)
    session_id = bench.new_session()
    view = (await bench.sender.send(request(session_id), seconds=60)).view
    follower = Follower(lambda: log, bench.transcript, FanOut())

    async def read(after: int) -> list[str]:
        now = await follower.find("alice", session_id, view.turn.id)
        events = follower.follow(now, after=after, seconds=30)
        return [event.type async for event in events if event is not None]

    seen = await read(0)
    assert seen == ["turn.started", "turn.waiting"]
    await Decider(bench.database).decide(view.approvals[0].id, "approved", by="alice", may=())
    assert await bench.session_worker.run_next(session_id, seconds=60)

    assert ("turn.resumed" in await read(len(seen))) == kept


async def test_who_only_ends_a_turn_takes_its_log_over_first(
    kept: bool,
    rule: Any,
    new_bench: NewBench,
    log: SqliteEventLog,
    expire: Expire,
    let_die: Any,
    die: Any,
    monkeypatch: Any,
) -> None:
    """Otherwise what ran may go on behind an end that a reader has made up."""

    async def only_what_is_pending(writer: EventWriter, *_: object) -> None:
        await writer._write()

    rule.instead(EventWriter, "settle", only_what_is_pending)
    bench = new_bench(events=log)
    turn = bench.begin(bench.new_session())
    attempt = Attempt(turn, bench.database, bench.turns, bench.tool_calls, bench.store)
    zombie = EventWriter(log, FanOut(), attempt.lease, attempt.journal.records)
    await zombie.begin()
    zombie.delta(0, "An")
    await zombie.settle()
    memory = TurnMemory([user_message(turn.text), assistant_message("An owl.")], "An owl.", USAGE)
    bench.store.finish(attempt.journal.conversation, turn.key, turn.attempt, memory)
    expire(turn.id)
    with monkeypatch.context() as patch:
        patch.setattr(EventWriter, "end", die)
        await let_die(bench, held(bench.turns.begin(request(turn.session_id))))
    follower = Follower(lambda: log, bench.transcript, FanOut())
    completed = await follower.find("alice", turn.session_id, turn.id)

    async def read() -> list[TurnEvent | None]:
        return [event async for event in follower.follow(completed, after=0, seconds=30)]

    first = await read()
    zombie.delta(0, " owl.")
    with suppress(Fenced):
        await zombie.settle()

    assert (await read() == first) is kept


async def test_what_is_replayed_is_not_told_again(
    kept: bool, rule: Any, new_bench: NewBench, log: SqliteEventLog, let_die: Any, die: Any
) -> None:
    rule.instead(EventWriter, "_once", lambda *_: True)

    async def die_when_it_is_told() -> Items:
        await until(lambda: "tool.called" in [event.type for event in told(log, turn)])
        die()
        return say("dead")

    script = in_order(call("add_task", title="milk"), die_when_it_is_told, say("Added."))
    bench = new_bench(script, events=log)
    turn = bench.begin(bench.new_session())
    await let_die(logged(bench), turn)
    assert [event.type for event in told(log, turn)].count("tool.called") == 1

    await bench.execute(held(bench.turns.begin(request(turn.session_id))))

    kinds = [event.type for event in told(log, turn)]
    assert kinds.count("tool.called") == (1 if kept else 2)


async def test_who_follows_a_silent_log_asks_postgres(
    kept: bool,
    rule: Any,
    new_bench: NewBench,
    log: SqliteEventLog,
    let_die: Any,
    die: Any,
    monkeypatch: Any,
) -> None:
    """Without it a turn whose process died as it had ended seems to go on for ever."""

    async def never(_: object) -> bool:
        return False

    rule.instead(reader._Tail, "_ended", never)
    monkeypatch.setattr(reader, "QUIET_SECONDS", 0.0)
    bench = new_bench(in_order(say("hi")), events=log)
    turn = bench.begin(bench.new_session())
    follower = Follower(lambda: log, bench.transcript, FanOut())
    running = await follower.find("alice", turn.session_id, turn.id)
    with monkeypatch.context() as patch:
        patch.setattr(EventWriter, "end", die)
        await let_die(logged(bench), turn)

    seconds = HANG_SECONDS if kept else 0.5
    given = [event async for event in follower.follow(running, after=0, seconds=seconds)]

    assert any(event is not None and event.type in FINAL for event in given) is kept


def test_what_was_read_of_the_head_is_held_against_it_when_it_is_locked(
    kept: bool, rule: Any, bench: Workbench, at_once: Callable[..., list[Any]]
) -> None:
    """Otherwise two workers that look at the same moment both run the turn."""
    rule.without(turns, "CLAIM", _AS_IT_WAS_READ)
    session_id = bench.new_session()
    bench.turns.begin(request(session_id), queue=True)

    claims = at_once(
        "SELECT FROM sessions FOR UPDATE",
        lambda: bench.turns.claim_head(session_id),
        lambda: bench.turns.claim_head(session_id),
    )

    outcomes = sorted(claim.outcome for claim in claims)
    assert outcomes == (["claimed", "held"] if kept else ["claimed", "claimed"])


def test_the_head_is_the_lowest_number(kept: bool, rule: Any, bench: Workbench) -> None:
    """The queue gives no order: a later message's wake-up may come first."""
    rule.without(turns, "CLAIM", "ORDER BY t.number LIMIT", "ORDER BY t.number DESC LIMIT")
    session_id = bench.new_session()
    for _ in range(2):
        bench.turns.begin(request(session_id), queue=True, enqueue=True)

    claimed = bench.turns.claim_head(session_id).turn

    assert claimed is not None
    assert claimed.number == (1 if kept else 2)


async def test_as_many_wait_as_may(kept: bool, rule: Any, bench: Workbench) -> None:
    rule.without(turns, "BEGIN_BY_ID", "AND (SELECT turns FROM waiting) < :max_queued")
    session_id = bench.new_session()
    for _ in range(MAX_QUEUED):
        await bench.sender.queue(request(session_id), enqueue=True)
    full = False

    try:
        await bench.sender.queue(request(session_id), enqueue=True)
    except QueueFull:
        full = True

    assert full is kept


async def test_who_ends_a_turn_wakes_for_the_next(
    kept: bool, rule: Any, new_bench: NewBench, wakeups: Wakeups
) -> None:
    """Its own wake-up came while the turn before it ran, and comes again only after a lease."""

    async def only_ended(*_: object, more: bool) -> None:
        pass

    rule.instead(Finalizer, "_ended", only_ended)

    async def meanwhile() -> Any:
        for _ in range(len(wakeups)):
            assert not await bench.session_worker.run_next(wakeups.take(0).session_id, seconds=30)
        return say("hi")

    bench = new_bench(in_order(meanwhile, say("hi")), wake_queue=wakeups)
    session_id = bench.new_session()
    for _ in range(2):
        await bench.sender.queue(request(session_id), enqueue=True)

    await bench.session_worker.run_next(wakeups.take(0).session_id, seconds=30)

    woken = [wakeups.take(0) for _ in range(len(wakeups))]
    assert (Wakeup(session_id, 0) in woken) is kept


async def test_an_attempt_leaves_a_wakeup_in_case_that_it_dies(
    kept: bool, rule: Any, new_bench: NewBench, wakeups: Wakeups, let_die: Any, die: Any
) -> None:
    """Without it nobody looks until the recovery does, in an hour."""
    rule.instead(Watchdog, "arm", lambda *_, **__: None)
    bench = new_bench(in_order(call("add_task", title="milk"), die), wake_queue=wakeups)
    turn = bench.begin(bench.new_session())

    await let_die(bench, turn)

    woken = [wakeups.take(0) for _ in range(len(wakeups))]
    assert woken == ([Wakeup(turn.session_id, CRASH_SECONDS)] if kept else [])


class _Breath(Gate):
    """The model waits until what it has said so far is told; then something may happen."""

    def __init__(self, told: Callable[[], object], then: Callable[[], object] = lambda: None):
        super().__init__()
        self._told = told
        self._then = then

    async def wait(self) -> None:
        await until(self._told)
        self._then()
