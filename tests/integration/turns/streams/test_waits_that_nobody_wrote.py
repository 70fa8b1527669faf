"""That a turn waits has one number, whether somebody wrote it or it is made up, at each look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from agents import Agent

from parley import Effect, effect_tool
from parley.errors import StoreUnavailable
from parley.events import reader
from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import TurnEvent
from parley.events.writer import EventWriter
from parley.ids import TurnKey, conversation_key
from parley.repository.transcript import TurnView
from parley.turns.decide import Decider
from parley_client import AsyncParley, TurnWaiting
from parley_client.sse import Frame
from parley_testing.models.scripted import Streamed, call, in_order, say
from parley_testing.models.steps import Called
from parley_testing.streams.streaming import Adapter, CountedLog, Streams, data, numbers
from parley_testing.workbench import request

NewStreams = Callable[..., Awaitable[Streams]]
LOOKS = 3
"""As often an `EventSource` comes back in a minute and a half."""


class Refusing(CountedLog):
    """A log that takes everything but that a turn waits, and knows whose it is."""

    refuses = False

    def append(self, conversation: str, turn: TurnKey, writer: str, events: Any) -> None:
        if self.refuses and any(event.type == "turn.waiting" for event in events):
            raise StoreUnavailable("agent-session store", "gone")
        super().append(conversation, turn, writer, events)

    def events(self, view: TurnView) -> list[TurnEvent]:
        """Return what stands in a turn's log."""
        return self.read(*_place(view))

    def lose(self, view: TurnView) -> None:
        """Have the log gone, as it is a day after it was written."""
        self.remove(*_place(view))


def _place(view: TurnView) -> tuple[str, TurnKey]:
    turn = view.turn
    return conversation_key(turn.user_id, turn.session_id), TurnKey(turn.number, turn.id)


@pytest.fixture(params=["sqlite", "dynamodb"])
def stored(request: pytest.FixtureRequest) -> str:
    """In which of the stores the log is."""
    name: str = request.param
    return name


@pytest.fixture
def log(request: pytest.FixtureRequest, stored: str, log: CountedLog) -> Refusing:
    if stored == "sqlite":
        return Refusing(log)
    return Refusing(DynamoDbEventLog(request.getfixturevalue("dynamodb_client"), "memory"))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask Postgres soon when a log is idle."""
    monkeypatch.setattr(reader, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(reader, "ASK_SECONDS", 0.05)


@effect_tool(needs_approval=True)
def pay(effect: Effect, title: str) -> str:
    """Pay for something."""
    return f"paid {title}"


def asks(how: str) -> Any:
    """Have the agent ask. Of what nobody streamed the log that begins later tells the texts too."""
    text = () if how == "nobody streamed it" else ("I ", "ask.")
    return Streamed(*text, calls=[Called("pay", {"title": "milk"}, "call_p")])


async def waiting(streams: Streams, log: Refusing, how: str) -> TurnView:
    """Have a turn wait of which no log says so."""
    bench = streams.bench
    bench.agent = Agent("till", tools=[pay])
    session_id = bench.new_session()
    if how == "nobody streamed it":
        return (await bench.sender.send(request(session_id), seconds=60)).view
    with pytest.MonkeyPatch.context() as patch:
        if how == "its process died":

            async def dies(self: EventWriter, view: TurnView) -> None:
                """Write nothing any more."""

            patch.setattr(EventWriter, "pause", dies)
        else:
            log.refuses = True
        async with streams.send(session_id) as reading:
            told = await reading.rest()
        log.refuses = False
    view = bench.transcript.turn("alice", session_id, UUID(data(told[0])["turn_id"]))
    assert view.turn.status == "waiting"
    assert "turn.waiting" not in [event.type for event in log.events(view)]
    return view


HOW = pytest.mark.parametrize(
    "how", ["nobody streamed it", "its process died", "the log refused it"]
)


async def told(streams: Streams, view: TurnView, after: int = 0) -> list[Frame]:
    async with streams.follow(view.turn.session_id, view.turn.id, after) as reading:
        frames: list[Frame] = await reading.rest()
    return frames


async def comes_back(streams: Streams, view: TurnView) -> list[Frame]:
    """Follow a turn that waits, and come back as often as an `EventSource` does."""
    seen = await told(streams, view)
    assert seen[-1].event == "turn.waiting"
    for _ in range(LOOKS):
        seen += await told(streams, view, numbers(seen)[-1])
    return seen


async def goes_on(streams: Streams, view: TurnView) -> None:
    """Have what a turn asks for approved, and a worker go on with it."""
    bench, turn = streams.bench, view.turn
    now = bench.transcript.turn("alice", turn.session_id, turn.id)
    for asked in now.approvals:
        if asked.is_open:
            decider = Decider(bench.database)
            await decider.decide(asked.id, "approved", by="alice", may=())
    assert await bench.session_worker.run_next(turn.session_id, seconds=60)


def kinds(frames: list[Frame]) -> list[str]:
    return [frame.event for frame in frames if frame.event != "message.delta"]


GOES_ON = ["turn.resumed", "approval.decided", "tool.called", "tool.returned"]
ENDS = [*GOES_ON, "message.completed", "turn.completed"]


@HOW
async def test_who_comes_back_often_is_told_all_that_comes_next(
    new_streams: NewStreams, log: Refusing, how: str
) -> None:
    streams = await new_streams(in_order(asks(how), Streamed("Paid.")))
    view = await waiting(streams, log, how)

    seen = await comes_back(streams, view)
    await goes_on(streams, view)
    rest = await told(streams, view, numbers(seen)[-1])

    assert kinds(seen)[-1:] == ["turn.waiting"]
    assert kinds(seen).count("turn.waiting") == 1
    assert kinds(rest) == ENDS
    assert numbers([*seen, *rest]) == list(range(1, len(seen) + len(rest) + 1))
    # So is who saw nothing of that, and who saw all but that it waits.
    assert kinds(await told(streams, view)) == [*kinds(seen), *kinds(rest)]
    late = await told(streams, view, numbers(seen)[-1] - 1)
    assert (kinds(late), late[1:]) == (["turn.waiting", *ENDS], rest)
    (asked,) = data(late[0])["approvals"]
    assert asked["call_id"] == "call_p"


@HOW
async def test_who_comes_back_often_is_told_that_it_waits_again(
    new_streams: NewStreams, log: Refusing, how: str
) -> None:
    again = call("pay", "call_q", title="bread")
    streams = await new_streams(in_order(asks(how), again, Streamed("Paid.")))
    view = await waiting(streams, log, how)
    seen = await comes_back(streams, view)

    with pytest.MonkeyPatch.context() as patch:

        async def dies(self: EventWriter, view: TurnView) -> None:
            """Write nothing any more."""

        patch.setattr(EventWriter, "pause", dies)
        await goes_on(streams, view)
    for _ in range(LOOKS):
        seen += await told(streams, view, numbers(seen)[-1])
    assert kinds(seen)[-5:] == [*GOES_ON, "turn.waiting"]
    await goes_on(streams, view)
    seen += await told(streams, view, numbers(seen)[-1])

    assert kinds(seen)[-6:] == ENDS
    assert numbers(seen) == list(range(1, len(seen) + 1))
    whole = await told(streams, view)
    assert (kinds(whole), numbers(whole)) == (kinds(seen), numbers(seen))


@HOW
async def test_who_comes_back_often_is_told_that_it_was_cancelled(
    new_streams: NewStreams, log: Refusing, how: str
) -> None:
    streams = await new_streams(in_order(asks(how)))
    view = await waiting(streams, log, how)
    seen = await comes_back(streams, view)

    await streams.bench.canceller.cancel("alice", view.turn.session_id, view.turn.id)
    rest = await told(streams, view, numbers(seen)[-1])

    assert kinds(rest) == ["turn.cancelled"]
    assert await told(streams, view, numbers(rest)[-1]) == []
    whole = await told(streams, view)
    assert (kinds(whole), numbers(whole)) == (kinds([*seen, *rest]), numbers([*seen, *rest]))
    assert kinds(whole)[-2:] == ["turn.waiting", "turn.cancelled"]


@pytest.mark.parametrize("then", ["goes on", "is cancelled"])
@pytest.mark.parametrize("how", ["its process died", "it was written"])
async def test_a_log_that_is_gone_takes_nothing_from_who_had_read_it(
    new_streams: NewStreams, log: Refusing, how: str, then: str
) -> None:
    """A turn waits for days, and its log is kept for one."""
    streams = await new_streams(in_order(asks(how), Streamed("Paid.")))
    if how == "it was written":
        streams.bench.agent = Agent("till", tools=[pay])
        session_id = streams.bench.new_session()
        async with streams.send(session_id) as reading:
            first = data((await reading.rest())[0])
        view = streams.bench.transcript.turn("alice", session_id, UUID(first["turn_id"]))
    else:
        view = await waiting(streams, log, how)
    seen = await told(streams, view)

    log.lose(view)
    for _ in range(LOOKS):
        assert await told(streams, view, numbers(seen)[-1]) == []
    new = await told(streams, view)
    assert kinds(new) == ["turn.started", "events.lost", "turn.waiting"]
    assert new[-1] == seen[-1]
    if then == "goes on":
        await goes_on(streams, view)
    else:
        await streams.bench.canceller.cancel("alice", view.turn.session_id, view.turn.id)
    rest = await told(streams, view, numbers(seen)[-1])

    assert kinds(rest)[:1] == ["turn.resumed" if then == "goes on" else "turn.cancelled"]
    assert kinds(rest)[-1] == ("turn.completed" if then == "goes on" else "turn.cancelled")
    assert numbers(rest)[0] == numbers(seen)[-1] + 1
    whole = await told(streams, view)
    assert kinds(whole)[:3] == ["turn.started", "events.lost", "turn.waiting"]
    assert whole[3:] == rest


async def test_the_client_comes_back_until_it_goes_on(
    new_streams: NewStreams, log: Refusing
) -> None:
    how = "its process died"
    streams = await new_streams(in_order(asks(how), Streamed("Paid.")))
    view = await waiting(streams, log, how)
    log.lose(view)
    turn = view.turn.session_id, view.turn.id
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == LOOKS:
            await goes_on(streams, view)

    async with AsyncParley(streams.url, "token", transport=Adapter(), sleep=sleep) as parley:
        seen = [event async for event in parley.follow_turn(*turn)]
        assert isinstance(seen[-1], TurnWaiting)
        rest = [event async for event in parley.follow_turn(*turn, after=seen[-1].sequence)]
        whole = [event async for event in parley.follow_turn(*turn)]

    assert slept == [30.0] * LOOKS
    assert [event.type for event in seen] == ["turn.started", "events.lost", "turn.waiting"]
    told = [event.type for event in rest if event.type != "message.delta"]
    assert told == [*GOES_ON[:2], "message.completed", *ENDS[2:]]  # texts are not in the log either
    assert [event.sequence for event in whole] == [each.sequence for each in [*seen, *rest]]


async def test_who_writes_late_that_it_waits_finds_that_it_was_made_good(
    new_streams: NewStreams, log: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process stood still between telling Postgres and telling the log."""
    streams = await new_streams(in_order(asks(""), say("Paid.")))
    late: list[tuple[EventWriter, TurnView]] = []
    writes = EventWriter.pause

    async def stands_still(self: EventWriter, view: TurnView) -> None:
        late.append((self, view))

    monkeypatch.setattr(EventWriter, "pause", stands_still)
    streams.bench.agent = Agent("till", tools=[pay])
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        await reading.rest()
    ((event_writer, view),) = late
    await goes_on(streams, view)
    before = log.events(view)

    await writes(event_writer, view)

    assert log.events(view) == before
    assert [event.type for event in before].count("turn.waiting") == 1


async def test_who_goes_on_behind_one_that_died_before_it_told_so_tells_that_it_waited(
    new_streams: NewStreams, log: Refusing
) -> None:
    streams = await new_streams(in_order(asks(""), say("Paid.")))
    bench = streams.bench
    view = await waiting(streams, log, "its process died")
    seen = await comes_back(streams, view)
    await Decider(bench.database).decide(view.approvals[0].id, "approved", by="alice", may=())
    claimed = bench.turns.claim_head(view.turn.session_id).turn
    assert claimed is not None
    bench.turns.release(claimed)

    assert await bench.session_worker.run_next(view.turn.session_id, seconds=60)

    rest = await told(streams, view, numbers(seen)[-1])
    assert kinds(rest) == ENDS
    assert data(rest[0])["attempt"] == claimed.attempt + 1


async def test_a_request_that_is_queued_behind_one_that_waits_is_told_from_its_start(
    new_streams: NewStreams, log: Refusing
) -> None:
    streams = await new_streams(in_order(asks(""), say("Paid."), say("Bye.")))
    bench = streams.bench
    view = await waiting(streams, log, "nobody streamed it")
    behind = (await bench.sender.queue(request(view.turn.session_id), enqueue=True)).view

    for _ in range(LOOKS):
        assert await told(streams, behind) == []
    await goes_on(streams, view)
    assert await bench.session_worker.run_next(view.turn.session_id, seconds=60)

    frames = await told(streams, behind)
    assert kinds(frames) == ["turn.started", "message.completed", "turn.completed"]
    assert numbers(frames) == list(range(1, len(frames) + 1))


async def test_all_that_is_asked_for_at_once_may_be_more_than_one_write_holds(
    new_streams: NewStreams, log: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who goes on has told so before it does anything: nobody else takes its place then."""
    monkeypatch.setattr("parley.events.writer.WRITE_LIMIT", 10)
    begin, begun = EventWriter.begin, []

    async def noted(self: EventWriter, *decisions: Any) -> None:
        await begin(self, *decisions)
        begun.append([event.type for event in log.events(view)])

    both = call("pay", "call_p", title="milk") + call("pay", "call_q", title="bread")
    streams = await new_streams(in_order(both, say("Paid.")))
    view = await waiting(streams, log, "nobody streamed it")
    seen = await comes_back(streams, view)
    monkeypatch.setattr(EventWriter, "begin", noted)

    await goes_on(streams, view)

    assert begun == [["turn.started", "turn.waiting", "turn.resumed"]]
    rest = await told(streams, view, numbers(seen)[-1])
    assert kinds(rest)[:3] == ["turn.resumed", "approval.decided", "approval.decided"]
    (waited,) = [event for event in log.events(view) if event.type == "turn.waiting"]
    assert [each["call_id"] for each in waited.data["approvals"]] == ["call_p", "call_q"]
