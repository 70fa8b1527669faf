"""Following a turn, over a log and a transcript of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from parley.errors import NotFound, StoreUnavailable
from parley.events import reader
from parley.events.chunks import HIGHEST
from parley.events.fanout import FanOut
from parley.events.log import TurnEvent
from parley.events.reader import Follower
from parley.ids import TurnKey, conversation_key
from parley.repository.transcript import Transcript, TurnView
from parley.repository.values import Message, Turn
from parley.turns.wakeup import Waker
from parley.usage.spent import Spent
from parley_testing.waiting import HANG_SECONDS, longer_and_longer

AT = datetime(2026, 11, 20, 14, 18, tzinfo=UTC)
SESSION, TURN, REPLY = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask Postgres at once when the log is idle, and wait for no store."""
    monkeypatch.setattr(reader, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(reader, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(reader, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(reader, "_LONGEST_PAUSE", 0.01)


class Log:
    """A log in memory; `fault` is raised by reads as long as it is there."""

    def __init__(self, *events: TurnEvent) -> None:
        self.events = list(events)
        self.reads: list[int] = []
        self.fault: Exception | None = None

    def append(self, *_: Any) -> None:
        raise AssertionError("who follows writes nothing")

    def read(
        self, conversation: str, turn: TurnKey, *, after: int = 0, limit: int | None = None
    ) -> Sequence[TurnEvent]:
        assert (conversation, turn) == (conversation_key("alice", SESSION), TurnKey(4, TURN))
        self.reads.append(after)
        if self.fault is not None:
            raise self.fault
        return [event for event in self.events if event.sequence > after]


class World:
    """A turn, its log, and who follows it."""

    def __init__(self, *events: TurnEvent) -> None:
        self.log = Log(*events)
        self.fanout = FanOut()
        self.running = view(ended=False)
        self.now: TurnView | Exception = self.running
        self.asked = 0
        self.woken: list[UUID] = []
        self.follower = Follower(
            cast(Any, lambda: self.log),
            cast(Transcript, self),
            self.fanout,
            Waker(self),
            beat_seconds=30,
        )

    def turn(self, user_id: str, session_id: UUID, turn_id: UUID) -> TurnView:
        """Look at the turn, in the transcript's place."""
        assert (user_id, session_id, turn_id) == ("alice", SESSION, TURN)
        self.asked += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        """Wake, in the queue's place."""
        self.woken.append(session_id)

    def happens(self, *events: TurnEvent) -> None:
        self.log.events += events
        self.fanout.publish(TURN, events)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def read(
        self, after: int = 0, *, seen: TurnView | None = None, seconds: float = 30
    ) -> list[TurnEvent | None]:
        """Follow to the end."""
        events = self.follower.follow(seen or self.running, after=after, seconds=seconds)
        return [event async for event in events]


def view(*, ended: bool, status: Any = "completed") -> TurnView:
    turn = Turn(
        id=TURN, session_id=SESSION, user_id="alice", number=4, agent="todo", attempt=1, crashes=0,
        created_at=AT, started_at=AT,
        status=status if ended else "running", ended_at=AT if ended else None,
        spent=Spent("m", 1, 2, None, 3, None, None, unpriced=1),
        error_code=None if status == "completed" else "why", error_detail="because",
    )  # fmt: skip
    said = Message(id=UUID(int=9), turn_id=TURN, role="user", content="hello", created_at=AT)
    reply = Message(id=REPLY, turn_id=TURN, role="assistant", content="abc", created_at=AT)
    return TurnView(turn, said, reply if ended and status == "completed" else None)


def event(sequence: int, kind: Any = "message.delta", **data: Any) -> TurnEvent:
    return TurnEvent(sequence, kind, AT, data or {"step": 0, "text": str(sequence)})


START, END = event(1, "turn.started"), event(4, "turn.completed", reply_id=str(REPLY))
WHOLE = (START, event(2), event(3), END)


@pytest.mark.parametrize("after", range(5))
async def test_a_log_is_given_from_any_place(after: int) -> None:
    world = World(*WHOLE)
    world.now = view(ended=True)

    assert await world.read(after, seen=world.now) == list(WHOLE[after:])


async def test_what_happens_is_given_when_it_happens() -> None:
    world = World(START)
    told = []

    async with aclosing(world.follower.follow(world.running, after=0, seconds=30)) as events:
        told.append(await anext(events))
        for each in WHOLE[1:]:
            world.happens(each)
            told.append(await anext(events))
        assert [left async for left in events] == []

    assert told == list(WHOLE)


async def test_what_this_process_wrote_is_not_read_from_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "_FIRST_PAUSE", HANG_SECONDS)  # nobody reads as nothing comes
    world = World(START)

    async with aclosing(world.follower.follow(world.running, after=0, seconds=30)) as events:
        assert await anext(events) == START
        reads = len(world.log.reads)
        world.happens(event(2))
        world.happens(event(3), END)
        assert [each async for each in events] == list(WHOLE[1:])

    assert len(world.log.reads) == reads


async def test_what_was_missed_of_the_announcements_is_read() -> None:
    world = World(START)

    async with aclosing(world.follower.follow(world.running, after=0, seconds=30)) as events:
        assert await anext(events) == START
        world.log.events.append(event(2))  # by another process
        world.happens(event(3), END)
        assert [each async for each in events] == list(WHOLE[1:])


async def test_a_worker_is_woken_for_when_nothing_happens_for_as_long_as_a_lease_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("QUIET_SECONDS", "ASK_SECONDS", "WAKE_SECONDS"):
        monkeypatch.setattr(reader, name, 0.01)
    world = World(START)
    reading = asyncio.ensure_future(world.read())

    await world.until(lambda: bool(world.woken))
    world.happens(*WHOLE[1:])

    assert await reading == list(WHOLE)
    assert set(world.woken) == {SESSION}


async def test_nobody_is_woken_for_a_turn_in_which_something_happens() -> None:
    world = World(START)
    reading = asyncio.ensure_future(world.read())
    await world.until(lambda: bool(world.log.reads))
    world.happens(*WHOLE[1:])
    await reading
    assert world.woken == []


async def test_many_readers_are_told_the_same_from_one_reading() -> None:
    world = World(START)
    readers = [asyncio.ensure_future(world.read(place % 3)) for place in range(50)]
    await world.until(lambda: len(world.log.reads) >= 5)

    world.happens(*WHOLE[1:])

    for place, told in enumerate(await asyncio.gather(*readers)):
        assert [event for event in told if event is not None] == list(WHOLE[place % 3 :])
    assert not world.follower._tails


@pytest.mark.parametrize("after", [0, 1])
async def test_who_follows_what_has_not_begun_is_told_that_the_log_could_be_read(
    after: int,
) -> None:
    world = World(*WHOLE[:after])

    async with aclosing(world.follower.follow(world.running, after=after, seconds=30)) as events:
        assert await anext(events) is None
        world.now = view(ended=True)
        world.happens(*WHOLE[after:])
        assert [each async for each in events] == list(WHOLE[after:])


async def test_nothing_is_read_any_more_when_the_last_reader_has_gone() -> None:
    world = World(START)
    async with aclosing(world.follower.follow(world.running, after=0, seconds=30)) as events:
        await anext(events)
    reads = len(world.log.reads)

    await asyncio.sleep(0.1)

    assert len(world.log.reads) == reads
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_end_that_a_log_lacks_is_made_up() -> None:
    world = World(START, event(2))
    world.now = view(ended=True)

    told = await world.read()

    assert told[:2] == [START, event(2)]
    assert [(each.sequence, each.type) for each in told[2:] if each] == [
        (3, "message.completed"), (4, "turn.completed")
    ]  # fmt: skip


@pytest.mark.parametrize(("events", "cut"), [((START, event(2)), True), ((START,), False)])
@pytest.mark.parametrize("after", [0, 1])
async def test_a_made_up_end_tells_whether_a_message_was_cut_off(
    events: tuple[TurnEvent, ...], cut: bool, after: int
) -> None:
    # Also to who has seen the piece before.
    world = World(*events)
    world.now = view(ended=True, status="failed")

    *_, last = await world.read(after + cut)

    assert last is not None
    assert (last.type, last.data["interrupted"]) == ("turn.failed", cut)


async def test_an_end_that_is_being_written_is_not_made_up_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(START, event(2), event(3))
    ended = view(ended=True)

    def asked(*_: Any) -> TurnView:
        world.log.events.append(END)  # by the writer, at the same moment
        return ended

    monkeypatch.setattr(world, "turn", asked)

    assert await world.read() == list(WHOLE)


LAST_OF_ALL = [HIGHEST - 2, HIGHEST - 1, HIGHEST]


@pytest.mark.parametrize(
    ("after", "told"), [(0, [1, 2, 3]), (2, [3]), (3, []), (4, LAST_OF_ALL), (57, LAST_OF_ALL)]
)
async def test_of_a_log_that_is_gone_everybody_is_told_the_end_once(
    after: int, told: list[int]
) -> None:
    """However often one comes back, as a browser does until there is nothing more."""
    world = World()
    ended = view(ended=True)

    first = [each for each in await world.read(after, seen=ended) if each]
    assert [each.sequence for each in first] == told
    assert not first or first[-1].type == "turn.completed"
    for _ in range(2):
        assert await world.read(told[-1] if told else after, seen=ended) == []


@pytest.mark.parametrize("log", [[], [START], [START, event(2), event(3, "turn.waiting")]])
async def test_of_a_turn_that_went_on_and_whose_log_is_gone_everybody_is_told_the_end_once(
    log: list[TurnEvent],
) -> None:
    """Also who has seen one or two events behind the wait, which are not those that end it."""
    world = World(*log)
    ended = view(ended=True)
    ended = replace(ended, turn=replace(ended.turn, waiting_sequence=3, attempt=3))

    for after in (0, 1, 2, 3, 4, 5, 6, 57, *LAST_OF_ALL):
        told = [each for each in await world.read(after, seen=ended) if each]
        numbers = [each.sequence for each in told]
        assert numbers == [each for each in (1, 2, 3, *LAST_OF_ALL) if each > after]
        assert not told or told[-1].type == "turn.completed"


async def test_who_has_seen_more_than_is_left_is_told_the_end_beside_one_who_has_not() -> None:
    ended = view(ended=True)
    world = World()

    both = await asyncio.gather(*(world.read(after, seen=ended) for after in (0, 57)))

    told = [[each.sequence for each in seen if each] for seen in both]
    assert told == [[1, 2, 3], LAST_OF_ALL]


WAITS = replace(view(ended=False).turn, status="waiting", waiting_sequence=3, attempt=2)


def waiting(**fields: Any) -> TurnView:
    return replace(view(ended=False), turn=replace(WAITS, **fields))


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ([START, event(2)], [1, 2, 3]),
        ([START], [1, 2, 3]),  # a restored one
        ([], [1, 2, 3]),  # one that is gone
        ([START, event(2), event(3, "turn.waiting")], [1, 2, 3]),
        ([START, event(2, "turn.waiting")], [1, 2, 3]),  # when it waited before, and restored
    ],
)
async def test_that_a_turn_waits_has_the_number_that_postgres_says(
    log: list[TurnEvent], told: list[int]
) -> None:
    world = World(*log)
    world.now = waiting()

    first = [each for each in await world.read(seen=waiting()) if each]

    assert [each.sequence for each in first] == told
    assert first[-1].type == "turn.waiting"
    for after in (3, 4, 57):
        assert await world.read(after, seen=waiting()) == []


async def test_what_a_log_has_lost_is_told_as_lost() -> None:
    world = World(event(5), event(6))
    world.now = view(ended=True)

    told = [each for each in await world.read(2, seen=world.now) if each]

    assert [(each.sequence, each.type) for each in told] == [
        (4, "events.lost"), (5, "message.delta"), (6, "message.delta"),
        (7, "message.completed"), (8, "turn.completed"),
    ]  # fmt: skip
    assert told[0].data == {"count": 2}


RESUMED = [event(4, "turn.resumed", attempt=3), event(5)]


async def test_who_is_told_of_a_wait_that_a_restored_database_has_is_told_how_it_ends() -> None:
    """What the log tells behind it had not happened then, by the account of Postgres."""
    world = World(START, event(2), event(3, "turn.waiting"), *RESUMED)
    world.now = waiting()
    told = [each for each in await world.read(seen=world.now) if each]
    assert (told[-1].sequence, told[-1].type) == (6, "turn.waiting")
    assert await world.read(6, seen=world.now) == []

    ended = view(ended=True, status="cancelled")
    ended = replace(ended, turn=replace(ended.turn, waiting_sequence=3, attempt=3))
    why = {"code": "why", "detail": "because", "interrupted": True}
    world.happens(event(6, "turn.cancelled", **why))

    end = [each for each in await world.read(6, seen=ended) if each]
    assert [(each.sequence, each.type) for each in end] == [
        (HIGHEST - 1, "events.lost"), (HIGHEST, "turn.cancelled"),
    ]  # fmt: skip
    assert await world.read(HIGHEST, seen=ended) == []


async def test_of_a_turn_that_waited_and_was_cancelled_when_it_ran_the_end_is_told_once() -> None:
    why = {"code": "why", "detail": "because", "interrupted": True}
    end = event(6, "turn.cancelled", **why)
    world = World(START, event(2), event(3, "turn.waiting"), *RESUMED, end)
    ended = view(ended=True, status="cancelled")
    ended = replace(ended, turn=replace(ended.turn, waiting_sequence=3, attempt=4))

    assert await world.read(5, seen=ended) == [end]
    assert await world.read(6, seen=ended) == []


async def test_who_waits_is_told_that_nothing_happens() -> None:
    world = World()
    world.follower._beat_seconds = 0.01

    for seconds in longer_and_longer(0.2):
        if told := await world.read(seconds=seconds):
            break

    assert set(told) == {None}


async def test_time_that_is_up_takes_nothing_away() -> None:
    world = World(START, event(2))

    for seconds in longer_and_longer(0.3):
        if told := await world.read(seconds=seconds):
            break
    world.happens(event(3), END)
    world.now = view(ended=True)

    assert [*told, *await world.read(2)] == list(WHOLE)


async def test_postgres_may_be_away_while_the_log_is_there() -> None:
    world = World(START)
    world.now = StoreUnavailable("postgres", "gone")
    reading = asyncio.ensure_future(world.read())
    await world.until(lambda: world.asked >= 2)

    world.happens(*WHOLE[1:])

    assert await reading == list(WHOLE)


async def test_a_log_that_cannot_be_read_ends_the_following_of_all() -> None:
    world = World(START)
    readers = [asyncio.ensure_future(world.read()) for _ in range(3)]
    await world.until(lambda: world.asked >= 2)

    world.log.fault = StoreUnavailable("postgres", "gone")

    for told in await asyncio.gather(*readers, return_exceptions=True):
        assert isinstance(told, StoreUnavailable)
    world.log.fault = None
    world.happens(*WHOLE[1:])
    world.now = view(ended=True)
    assert await world.read() == list(WHOLE)


async def test_a_turn_that_is_deleted_meanwhile_is_not_there() -> None:
    world = World(START)
    world.now = NotFound("turn", TURN)

    with pytest.raises(NotFound):
        await world.read()


@pytest.mark.parametrize("now", ["completed", "failed", "cancelled"])
async def test_an_end_that_postgres_was_restored_to_before_is_not_told(
    now: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_LONGEST_PAUSE", 0.01)
    world = World(START, event(2), event(3), event(4, "turn.completed", reply_id="another"))
    reading = asyncio.ensure_future(world.read())
    await world.until(lambda: world.asked >= 3)
    assert not reading.done()

    world.now = view(ended=True, status=now)

    assert [each.type for each in await reading if each][-1] == f"turn.{now}"
    assert "another" not in [each.data.get("reply_id") for each in reading.result() if each]
