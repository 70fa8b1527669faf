"""The log of a turn's events: what is told of it, by whom, and when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from agents import (
    Agent,
    ModelRetryBackoffSettings,
    ModelRetrySettings,
    ModelSettings,
    function_tool,
)

from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.events import writer
from parley.events.dynamodb import DynamoDbEventLog
from parley.events.final import TEXT_LIMIT, final_events
from parley.events.log import EventLog, TurnEvent
from parley.events.sqlite import SqliteEventLog
from parley.ids import TurnKey, conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.turns import RunningTurn
from parley.turns.context import TurnContext
from parley_testing.models.scripted import Gate, Streamed, call, in_order, say
from parley_testing.models.steps import Called
from parley_testing.waiting import until
from parley_testing.workbench import Workbench, held, request

NewBench = Callable[..., Workbench]


@pytest.fixture
def sqlite_log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(tmp_path / "memory.db")
    yield log
    log.close()


@pytest.fixture(params=["sqlite", "dynamodb"])
def log(request: pytest.FixtureRequest) -> EventLog:
    if request.param == "sqlite":
        built: EventLog = request.getfixturevalue("sqlite_log")
        return built
    return DynamoDbEventLog(request.getfixturevalue("dynamodb_client"), "memory")


class Watched:
    """A log that counts its calls, and can do something first."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.chunks: list[Sequence[TurnEvent]] = []
        self.reads = 0
        self.before: Callable[[], None] | None = None

    def append(
        self, conversation: str, turn: TurnKey, writer: str, events: Sequence[TurnEvent]
    ) -> None:
        if self.before is not None:
            self.before()
        self._log.append(conversation, turn, writer, events)
        self.chunks.append(events)

    def read(
        self, conversation: str, turn: TurnKey, *, after: int = 0, limit: int | None = None
    ) -> list[TurnEvent]:
        self.reads += 1
        return self._log.read(conversation, turn, after=after, limit=limit)


def told(log: EventLog, turn: RunningTurn) -> list[TurnEvent]:
    events = log.read(conversation_key(turn.user_id, turn.session_id), turn.key)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return events


def kinds(events: Sequence[TurnEvent]) -> list[str]:
    return [event.type for event in events]


def text(events: Sequence[TurnEvent]) -> str:
    """Put the text together as a reader does."""
    written = ""
    for event in events:
        match event.type:
            case "message.delta":
                written += event.data["text"]
            case "message.reset":
                written = ""
            case "message.completed":
                written = event.data["text"]
    return written


@function_tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a word"


AGENT = Agent[TurnContext](name="todo", tools=[look_up])


async def test_a_turn_tells_what_happens_in_the_order_in_which_it_happens(
    new_bench: NewBench, log: EventLog
) -> None:
    script = in_order(
        Streamed("Let me ", "see.", calls=[Called("look_up", {"word": "owl"})]), say("A bird.")
    )
    bench = new_bench(script, agent=AGENT, events=log)
    turn = bench.begin(bench.new_session())

    view = await bench.execute(turn, logged=True)

    events = told(log, turn)
    deltas = [event for event in events if event.type == "message.delta"]
    assert [kind for kind in kinds(events) if kind != "message.delta"] == [
        "turn.started", "message.completed", "tool.called", "tool.returned",
        "message.completed", "turn.completed",
    ]  # fmt: skip
    assert {event.data["step"]: "" for event in deltas} == {0: "", 1: ""}
    assert "".join(event.data["text"] for event in deltas) == "Let me see.A bird."
    started, said, called, returned, replied, completed = (
        event.data for event in events if event.type != "message.delta"
    )
    assert started == {"session_id": str(turn.session_id), "number": 1, "agent": "todo"}
    assert said == {"step": 0, "text": "Let me see.", "message_id": None}
    assert called["name"] == returned["name"] == "look_up"
    assert called["call_id"] == returned["call_id"]
    assert (called["arguments"], called["within"]) == ('{"word": "owl"}', None)
    assert returned["output"] == "owl: a word"
    assert replied == {"step": None, "text": "A bird.", "message_id": str(view.reply.id)}
    assert completed == {
        "reply_id": str(view.reply.id),
        "usage": {
            "model_calls": 2,
            "input_tokens": 10,
            "cached_tokens": 0,
            "output_tokens": 6,
            "reasoning_tokens": 0,
            "cost_usd": None,
            "calls_without_tokens": 0,
            "calls_without_cost": 2,
        },
    }


async def test_the_first_piece_is_written_at_once_and_the_others_are_gathered(
    new_bench: NewBench, sqlite_log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GATHER_SECONDS", 3600.0)
    monkeypatch.setattr(writer, "LOOK_SECONDS", 3600.0)  # nothing is read, however long it takes
    first, rest = Gate(), Gate()
    watched = Watched(sqlite_log)
    pieces = ("b", "c", "d")
    bench = new_bench(in_order(Streamed("a", first, *pieces, rest, "e")), events=watched)
    turn = bench.begin(bench.new_session())
    work = asyncio.ensure_future(bench.execute(turn, logged=True))

    await until(lambda: "a" in text(told(sqlite_log, turn)))
    await until(lambda: first.is_reached)
    first.open()
    await until(lambda: rest.is_reached)
    assert text(told(sqlite_log, turn)) == "a"  # the others wait for more
    rest.open()
    await work

    assert text(told(sqlite_log, turn)) == "abcde"
    deltas = [
        [e.data["text"] for e in chunk if e.type == "message.delta"] for chunk in watched.chunks
    ]
    assert [chunk for chunk in deltas if chunk] == [["a"], ["bcde"]]
    # The start, the first piece, the rest, the end.
    assert (len(watched.chunks), watched.reads) == (4, 0)


async def test_a_turn_that_is_waited_for_writes_no_log(
    new_bench: NewBench, sqlite_log: SqliteEventLog
) -> None:
    watched = Watched(sqlite_log)
    bench = new_bench(in_order(call("look_up", word="owl"), say("hi")), agent=AGENT, events=watched)
    await bench.send(bench.new_session())
    assert (watched.chunks, watched.reads) == ([], 0)


async def test_what_an_attempt_told_is_not_told_again(
    new_bench: NewBench, log: EventLog, expire: Callable[[UUID], None]
) -> None:
    gate = Gate()
    used = call("look_up", word="owl")
    first = new_bench(in_order(used, Streamed("A bi", gate, "rd.")), agent=AGENT, events=log)
    turn = first.begin(first.new_session())
    dying = asyncio.ensure_future(first.execute(turn, logged=True))
    await until(lambda: "A bi" in text(told(log, turn)))
    expire(turn.id)

    second = new_bench(in_order(say("A bird.")), agent=AGENT, events=log)
    await second.execute(held(second.turns.begin(request(turn.session_id))))
    gate.open()
    with pytest.raises(Fenced):
        await dying

    events = told(log, turn)
    assert [kind for kind in kinds(events) if kind != "message.delta"] == [
        "turn.started", "tool.called", "tool.returned", "turn.resumed", "message.reset",
        "message.completed", "turn.completed",
    ]  # fmt: skip
    assert text(events) == "A bird."
    resumed = next(event for event in events if event.type == "turn.resumed")
    assert resumed.data == {"attempt": 2}


async def test_text_of_a_model_that_failed_is_kept_and_the_turn_says_so(
    new_bench: NewBench, sqlite_log: SqliteEventLog
) -> None:
    bench = new_bench(in_order(Streamed("A bi", end="failed")), events=sqlite_log)
    turn = bench.begin(bench.new_session())
    view = await bench.execute(turn, logged=True)
    events = told(sqlite_log, turn)
    assert view.turn.error_code == "model_failed"
    assert (text(events), kinds(events)[-1]) == ("A bi", "turn.failed")
    assert (events[-1].data["code"], events[-1].data["interrupted"]) == ("model_failed", True)


async def test_text_of_a_model_that_failed_is_taken_back_when_it_is_asked_again(
    new_bench: NewBench, sqlite_log: SqliteEventLog
) -> None:
    no_pause = ModelRetryBackoffSettings(initial_delay=0, max_delay=0)
    once_more = ModelSettings(
        retry=ModelRetrySettings(max_retries=1, policy=lambda _: True, backoff=no_pause)
    )
    agent = Agent[TurnContext](name="todo", model_settings=once_more)
    bench = new_bench(
        in_order(Streamed("A bi", end="cut"), Streamed("An owl.")), agent=agent, events=sqlite_log
    )
    turn = bench.begin(bench.new_session())
    await bench.execute(turn, logged=True)
    events = told(sqlite_log, turn)
    assert kinds(events).count("message.reset") == 1
    assert "".join(e.data["text"] for e in events if e.type == "message.delta") == "A biAn owl."
    assert text(events) == "An owl."


async def test_a_turn_cancelled_in_the_middle_of_its_text_stops_and_says_so(
    new_bench: NewBench, log: EventLog
) -> None:
    gate = Gate()
    bench = new_bench(in_order(Streamed("A bi", gate, "rd.")), events=log)
    other = new_bench(events=log)
    turn = bench.begin(bench.new_session())
    work = asyncio.ensure_future(bench.execute(turn, logged=True))
    await until(lambda: "A bi" in text(told(log, turn)))

    cancelled = await other.cancel(turn)

    with pytest.raises(Fenced):  # though the model says nothing any more
        await work
    events = told(log, turn)
    assert cancelled.outcome == "cancelled"
    assert kinds(events)[-1] == "turn.cancelled"
    assert events[-1].data["interrupted"] is True
    assert text(events) == "A bi"


async def test_an_attempt_that_has_told_nothing_yet_learns_that_it_is_cancelled(
    new_bench: NewBench, sqlite_log: SqliteEventLog
) -> None:
    gate, watched = Gate(), Watched(sqlite_log)
    bench = new_bench(in_order(Streamed(gate, "A bird.")), events=watched)
    turn = bench.begin(bench.new_session())
    other = new_bench(events=sqlite_log)
    await other.cancel(turn)
    with pytest.raises(Fenced):
        await bench.execute(turn, logged=True)
    assert kinds(told(sqlite_log, turn)) == ["turn.started", "turn.cancelled"]


async def test_a_zombie_that_streams_is_refused_and_stops(
    new_bench: NewBench, log: EventLog, expire: Callable[[UUID], None]
) -> None:
    gate = Gate()
    first = new_bench(in_order(Streamed("A", gate, " bird")), events=log)
    turn = first.begin(first.new_session())
    zombie = asyncio.ensure_future(first.execute(turn, logged=True))
    await until(lambda: "A" in text(told(log, turn)))
    expire(turn.id)
    second = new_bench(in_order(Streamed("An owl.")), events=log)
    taken = held(second.turns.begin(request(turn.session_id)))
    await second.execute(taken)
    before = told(log, turn)
    gate.open()
    with pytest.raises(Fenced):
        await zombie
    assert told(log, turn) == before
    assert text(before) == "An owl."


async def test_a_turn_let_go_of_keeps_its_log_open_for_the_next_attempt(
    new_bench: NewBench, sqlite_log: SqliteEventLog
) -> None:
    gate = Gate()
    bench = new_bench(in_order(Streamed("A", gate)), events=sqlite_log)
    turn = bench.begin(bench.new_session())
    with pytest.raises(TurnUnfinished):
        await bench.execute(turn, logged=True, seconds=0.3)
    second = new_bench(in_order(say("An owl.")), events=sqlite_log)
    taken = held(second.turns.begin(request(turn.session_id)))
    view = await second.execute(taken)
    events = told(sqlite_log, turn)
    assert text(events) == "An owl."
    assert events[-2:] == final_events(view, after=len(events) - 2, interrupted=False)


async def test_a_log_that_cannot_be_written_ends_the_attempt_and_not_the_turn(
    new_bench: NewBench, sqlite_log: SqliteEventLog
) -> None:
    watched = Watched(sqlite_log)

    def fail() -> None:
        raise StoreUnavailable("agent-session store", "gone")

    watched.before = fail
    gate = Gate()
    bench = new_bench(in_order(Streamed("A", gate)), events=watched)
    turn = bench.begin(bench.new_session())
    with pytest.raises(StoreUnavailable):
        await bench.execute(turn, logged=True)
    second = new_bench(in_order(say("hi")), events=sqlite_log)
    taken = held(second.turns.begin(request(turn.session_id)))
    assert (await second.execute(taken)).reply.content == "hi"


async def test_a_turn_whose_end_cannot_be_told_has_ended_all_the_same(
    new_bench: NewBench, sqlite_log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(sqlite_log)
    bench = new_bench(in_order(say("hi")), events=watched)
    turn = bench.begin(bench.new_session())
    complete = bench.turns.complete

    def fail() -> None:
        raise StoreUnavailable("agent-session store", "gone")

    def completing(*arguments: Any) -> Any:
        completed = complete(*arguments)
        watched.before = fail
        return completed

    monkeypatch.setattr(bench.turns, "complete", completing)
    view = await bench.execute(turn, logged=True)
    assert view.turn.status == "completed"
    events = told(sqlite_log, turn)
    assert "turn.completed" not in kinds(events)
    made_up = final_events(view, after=len(events), interrupted=True)
    assert kinds(made_up) == ["message.completed", "turn.completed"]


async def test_a_very_long_reply_is_told_in_pieces_and_not_once_more(
    new_bench: NewBench, log: EventLog
) -> None:
    # Nothing of it can be packed, and the model gives all of it at once.
    dice = random.Random(1)
    reply = "".join(chr(dice.randrange(0x10000, 0x20000)) for _ in range(300_000))
    bench = new_bench(in_order(Streamed(reply)), events=log)
    turn = bench.begin(bench.new_session())
    await bench.execute(turn, logged=True)
    events = told(log, turn)
    assert "".join(e.data["text"] for e in events if e.type == "message.delta") == reply
    (completed,) = (event for event in events if event.type == "message.completed")
    assert completed.data["text"] is None


async def test_the_longest_reply_that_is_told_once_more_goes_into_the_log(
    new_bench: NewBench, log: EventLog
) -> None:
    dice = random.Random(1)
    reply = "".join(chr(dice.randrange(0x10000, 0x20000)) for _ in range(TEXT_LIMIT))
    bench = new_bench(in_order(say(reply)), events=log)
    turn = bench.begin(bench.new_session())
    await bench.execute(turn, logged=True)
    assert text(told(log, turn)) == reply


async def test_memory_is_the_same_whether_a_turn_is_followed_or_waited_for(
    new_bench: NewBench, sqlite_log: SqliteEventLog, store: AgentSessionStore
) -> None:
    answers = (call("look_up", word="owl"), say("A bird."))
    kept = []
    for logged in (False, True):
        bench = new_bench(in_order(*answers), agent=AGENT, events=sqlite_log)
        turn = bench.begin(bench.new_session())
        view = await bench.execute(turn, logged=logged)
        (memory,) = store.read_newest(conversation_key("alice", turn.session_id), None)
        assert memory.memory is not None
        items = [
            {**item, "call_id": "?"} if "call_id" in item else item for item in memory.memory.items
        ]
        kept.append((items, memory.memory.usage, view.reply.content))
    assert kept[0] == kept[1]
