"""Following a turn: replayed from any place, from any process, for a while."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from agents import Agent

from parley import Effect, effect_tool
from parley.events import reader
from parley.events.chunks import HIGHEST
from parley.http.streaming import Limits
from parley.repository.approvals import Asked, pause
from parley.turns.decide import Decider
from parley_client.sse import Frame
from parley_testing.models.scripted import Streamed, call, in_order, say
from parley_testing.models.steps import Called, Gate
from parley_testing.streams.streaming import Reading, Streams, data, numbers, text_of
from parley_testing.waiting import HANG_SECONDS, longer_and_longer, until
from parley_testing.workbench import request

KEYED = {"idempotency-key": "k"}

NewStreams = Callable[..., Awaitable[Streams]]


async def test_a_replay_from_any_event_gives_exactly_the_rest(new_streams: NewStreams) -> None:
    calling = Streamed("Let me ", "see.", calls=[Called("add_task", {"title": "milk"}, "call_a")])
    streams = await new_streams(in_order(calling, Streamed("Ad", "ded.")))
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        frames = await reading.rest()
    turn_id = data(frames[0])["turn_id"]

    for after in range(len(frames)):
        async with streams.follow(session_id, turn_id, after) as replay:
            assert await replay.rest() == frames[after:]
        path = f"/sessions/{session_id}/turns/{turn_id}/events?after={after}"
        async with streams.ask("GET", path) as replay:
            assert await replay.rest() == frames[after:]


async def test_the_header_counts_when_both_are_given(new_streams: NewStreams) -> None:
    # As a browser comes back: to the same address.
    streams = await new_streams(in_order(Streamed("Hello")))
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        frames = await reading.rest()
    path = f"/sessions/{session_id}/turns/{data(frames[0])['turn_id']}/events?after=1"

    async with streams.ask("GET", path, headers={"last-event-id": "2"}) as replay:
        assert await replay.rest() == frames[2:]


async def test_a_browser_is_told_not_to_come_back_after_the_end(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(Streamed("Hello")))
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        *_, last = await reading.rest()

    for after in (int(last.id or 0), int(last.id or 0) + 1):
        async with streams.follow(session_id, data(last)["turn_id"], after) as replay:
            assert replay.status == 204
            assert await replay.response.aread() == b""
            assert "content-type" not in replay.response.headers


async def test_a_turn_that_is_over_is_told_however_long_its_log_takes_to_read(
    new_streams: NewStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given readers who are told that nothing happens, then none is told that all was told."""
    streams = await new_streams(in_order(Streamed("Hello")), beat_seconds=0.01)
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        frames = await reading.rest()
    read = streams.log.read

    def slowly(*place: Any, **how: Any) -> Any:
        time.sleep(0.1)  # ten of those beats
        return read(*place, **how)

    monkeypatch.setattr(streams.log, "read", slowly)
    async with streams.follow(session_id, data(frames[0])["turn_id"]) as reading:
        assert reading.status == 200
        assert await reading.rest() == frames


async def test_another_process_follows_what_happens_here(
    new_streams: NewStreams, gate: Gate
) -> None:
    here = await new_streams(in_order(Streamed("Hel", gate, "lo")))
    there = await new_streams()
    session_id = here.bench.new_session()

    async with here.send(session_id) as reading:
        told = await reading.until("message.delta")
        async with there.follow(session_id, data(told[0])["turn_id"]) as following:
            followed = await following.until("message.delta")
            gate.open()
            assert told + await reading.rest() == followed + await following.rest()


async def test_a_turn_that_nobody_streamed_is_told_in_short(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))
    session_id = streams.bench.new_session()
    sent = await streams.bench.send(session_id)
    turn, reply = sent.view.turn, sent.view.reply
    assert reply is not None
    told = []

    for _ in range(2):
        async with streams.follow(session_id, turn.id) as reading:
            told.append(await reading.rest())

    first, second = told
    assert first == second
    assert [frame.event for frame in first] == [
        "turn.started", "message.completed", "turn.completed"
    ]  # fmt: skip
    assert numbers(first) == [1, 2, 3]
    assert (data(first[1])["text"], data(first[1])["message_id"]) == ("Hello", str(reply.id))
    assert streams.log.appended == 0


async def test_a_turn_that_another_waits_for_is_told_when_it_has_ended(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed(gate, "Hello")))
    session_id = streams.bench.new_session()
    asked = request(session_id)

    sending = asyncio.ensure_future(streams.bench.sender.send(asked, seconds=60))
    await until(lambda: gate.is_reached)
    async with streams.follow(session_id, asked.turn_id) as reading:
        gate.open()
        frames = await reading.rest()
    await sending

    assert frames[-1].event == "turn.completed"


async def test_a_log_that_is_gone_still_ends_for_who_had_read_from_it(
    new_streams: NewStreams,
) -> None:
    streams = await new_streams(in_order(say("Hello")))
    session_id = streams.bench.new_session()
    turn_id = (await streams.bench.send(session_id)).view.turn.id

    async with streams.follow(session_id, turn_id, after=57) as reading:
        frames = await reading.rest()

    kinds = [frame.event for frame in frames]
    assert kinds == ["events.lost", "message.completed", "turn.completed"]
    assert numbers(frames) == [HIGHEST - 2, HIGHEST - 1, HIGHEST]
    async with streams.follow(session_id, turn_id, HIGHEST) as reading:
        assert reading.status == 204  # as a browser has to be told, or it comes back for ever


async def test_a_waiting_turn_says_nothing_and_is_left_with_a_hint(
    new_streams: NewStreams,
) -> None:
    for seconds in longer_and_longer(1):
        streams = await new_streams(limits=Limits(follow=seconds), beat_seconds=0.05)
        session_id = streams.bench.new_session()
        queued = await streams.bench.sender.queue(request(session_id))

        async with streams.follow(session_id, queued.view.turn.id) as reading:
            assert await reading.rest() == []

        if b"keep-alive" in reading.raw:  # it was left after its log had been read
            break
    assert reading.raw.startswith(b"retry: 1000\n\n: keep-alive\n\n")


async def test_a_silent_stream_is_kept_alive(new_streams: NewStreams, gate: Gate) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")), beat_seconds=0.05)

    async with streams.send(streams.bench.new_session()) as reading:
        told = asyncio.ensure_future(reading.rest())
        await until(lambda: reading.raw.count(b"\n: keep-alive\n\n") >= 2)
        gate.open()
        assert text_of(await told) == "Hello"


async def test_a_reader_that_takes_nothing_is_given_up(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(Streamed(*["x" * 900_000] * 8)))
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        turn_id = data((await reading.rest())[0])["turn_id"]
    begun = False

    async def take_nothing() -> list[Frame]:
        nonlocal begun
        async with hurried.follow(session_id, turn_id) as stuck:
            begun = True
            await until(lambda: not hurried.answering)
            frames: list[Frame] = await stuck.rest()
            return frames

    for seconds in longer_and_longer(0.1):
        # Only who takes nothing is hurried: to take it all may need longer than this.
        hurried = await new_streams(limits=Limits(follow=seconds, patience=seconds))
        try:
            told = await take_nothing()
        except httpx.RemoteProtocolError:
            if begun:
                return
        else:
            assert told == []  # the time to follow was over before the log was read
    pytest.fail("it was given up before it began, however long it was waited for")


async def test_following_ends_when_the_session_is_deleted(new_streams: NewStreams) -> None:
    streams = await new_streams()
    session_id = streams.bench.new_session()
    queued = await streams.bench.sender.queue(request(session_id))

    async with streams.follow(session_id, queued.view.turn.id) as reading:
        streams.bench.sessions.delete("alice", session_id)
        assert await reading.rest() == []
    async with streams.follow(session_id, queued.view.turn.id) as reading:
        assert reading.status == 404


async def test_nothing_is_read_when_nobody_follows(new_streams: NewStreams, gate: Gate) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))
    session_id = streams.bench.new_session()

    async with streams.send(session_id) as reading:
        await reading.until("message.delta")
    await until(lambda: not streams.follower._tails)
    gate.open()


async def test_a_stranger_s_turn_is_not_there(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))
    session_id = streams.bench.new_session()
    turn_id = (await streams.bench.send(session_id)).view.turn.id
    path = f"/sessions/{session_id}/turns/{turn_id}/events"

    async with streams.ask("GET", path, user="bob") as reading:
        assert reading.status == 404
    async with streams.follow(UUID(int=1), turn_id) as reading:
        assert reading.status == 404


@effect_tool(needs_approval=True)
def pay(effect: Effect, title: str) -> str:
    """Pay for something."""
    return f"paid {title}"


@pytest.mark.parametrize("by", ["a worker", "the same request"])
async def test_a_stream_that_ends_since_the_turn_waits_can_be_followed_again(
    new_streams: NewStreams, by: str
) -> None:
    asks = Streamed("I have to ", "ask.", calls=[Called("pay", {"title": "milk"}, "call_p")])
    streams = await new_streams(in_order(asks, Streamed("Pa", "id.")))
    bench = streams.bench
    bench.agent = Agent("till", tools=[pay])
    session_id = bench.new_session()

    async with streams.send(session_id, headers=KEYED) as reading:
        first = await reading.rest()
    asked = data(first[-1])
    assert (first[-1].event, asked["waiting_for"]) == ("turn.waiting", "decisions")
    turn_id = data(first[0])["turn_id"]
    async with streams.follow(session_id, turn_id) as reading:  # nothing has come of it yet
        assert await reading.rest() == first
    assert last_retry(reading) == 30_000
    async with streams.follow(session_id, turn_id, numbers(first)[-1]) as reading:
        assert await reading.rest() == []
    assert (last_retry(reading), b": keep-alive" in reading.raw) == (30_000, True)

    (approval,) = asked["approvals"]
    decider = Decider(bench.database)
    await decider.decide(UUID(approval["approval_id"]), "approved", by="alice", may=())
    after = numbers(first)[-1]
    if by == "a worker":
        async with streams.follow(session_id, turn_id, after) as reading:
            assert await bench.session_worker.run_next(session_id, seconds=60)
            rest = await reading.rest()
    else:
        async with streams.send(session_id, headers=KEYED) as reading:
            again = await reading.rest()
        assert again[: len(first)] == first
        rest = again[len(first) :]

    kinds = [frame.event for frame in rest if frame.event != "message.delta"]
    assert kinds == [
        "turn.resumed", "approval.decided", "tool.called", "tool.returned", "message.completed",
        "turn.completed",
    ]  # fmt: skip
    assert numbers(rest) == list(range(after + 1, after + 1 + len(rest)))
    assert data(rest[1])["decision"] == "approved"
    async with streams.follow(session_id, turn_id) as reading:
        assert await reading.rest() == [*first, *rest]
    assert last_retry(reading) == 1_000


@pytest.mark.parametrize("how", ["sent", "followed", "followed since before it waited"])
async def test_a_message_behind_a_turn_that_waits_has_a_stream_that_ends_at_once(
    new_streams: NewStreams, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(reader, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(reader, "ASK_SECONDS", 0.05)
    # One that was held would be held until the test is given up.
    limits = Limits(follow=2 * HANG_SECONDS)
    streams = await new_streams(in_order(say("Bye.")), limits=limits, beat_seconds=0.05)
    bench = streams.bench
    session_id = bench.new_session()
    running = bench.begin(session_id)
    asked = [Asked("call_p", "till", "pay", "{}")]
    if how != "followed since before it waited":
        pause(bench.database, running, asked, expires_in=60, spent=0)

    if how == "sent":
        async with enqueued(streams, session_id) as reading:
            assert await reading.rest() == []
    else:
        behind = (await bench.sender.queue(request(session_id), enqueue=True)).view.turn.id
        async with streams.follow(session_id, behind) as reading:
            rest = asyncio.create_task(reading.rest())
            if how != "followed":
                await until(lambda: b": keep-alive" in reading.raw)
                pause(bench.database, running, asked, expires_in=60, spent=0)
            assert await rest == []

    assert b": keep-alive" in reading.raw
    if how != "followed since before it waited":
        assert last_retry(reading) == 30_000


async def test_a_message_behind_a_turn_that_waits_is_told_when_that_is_over(
    new_streams: NewStreams,
) -> None:
    streams = await new_streams(in_order(say("Bye.")))
    bench = streams.bench
    session_id = bench.new_session()
    (asked,) = pause(
        bench.database, bench.begin(session_id), [Asked("c", "a", "pay", "{}")],
        expires_in=60, spent=0,
    ) or []  # fmt: skip
    async with enqueued(streams, session_id) as reading:
        assert await reading.rest() == []

    await bench.canceller.cancel("alice", session_id, asked.turn_id)
    async with enqueued(streams, session_id) as reading:
        assert await bench.session_worker.run_next(session_id, seconds=60)
        frames = await reading.rest()

    assert frames[-1].event == "turn.completed"


def enqueued(streams: Streams, session_id: UUID) -> Any:
    """Send a message that waits behind others."""
    body = {"text": "hello", "on_conflict": "enqueue"}
    return streams.ask("POST", f"/sessions/{session_id}/messages/stream", body, headers=KEYED)


def last_retry(reading: Reading) -> int:
    """Return in how many milliseconds a reader was last asked to come back."""
    return int(re.findall(rb"(?m)^retry: (\d+)$", reading.raw)[-1])


async def test_a_turn_that_nobody_streamed_until_it_goes_on_began_when_it_had_begun(
    new_streams: NewStreams,
) -> None:
    """Its start is made up for who comes while it waits, and is then in the log that begins."""
    streams = await new_streams(in_order(call("pay", "call_p", title="milk"), say("Paid.")))
    bench = streams.bench
    bench.agent = Agent("till", tools=[pay])
    session_id = bench.new_session()
    view = (await bench.sender.send(request(session_id), seconds=60)).view
    async with streams.follow(session_id, view.turn.id) as reading:
        first = await reading.rest()

    decider = Decider(bench.database)
    await decider.decide(view.approvals[0].id, "approved", by="alice", may=())
    assert await bench.session_worker.run_next(session_id, seconds=60)

    async with streams.follow(session_id, view.turn.id) as reading:
        whole = await reading.rest()
    assert [frame.event for frame in whole[:4]] == [
        "turn.started", "turn.waiting", "turn.resumed", "approval.decided",
    ]  # fmt: skip
    assert whole[:2] == first


async def test_who_follows_a_decision_is_told_the_rest_though_another_reader_is_still_leaving(
    new_streams: NewStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = Streamed("I have to ask.", calls=[Called("pay", {"title": "milk"}, "call_p")])
    streams = await new_streams(in_order(asks, Streamed("Paid.")))
    bench = streams.bench
    bench.agent = Agent("till", tools=[pay])
    session_id = bench.new_session()
    async with streams.send(session_id) as reading:
        *_, waiting = map(data, await reading.rest())
    turn_id = waiting["turn_id"]
    looked, go_on = asyncio.Event(), asyncio.Event()
    stands_still = reader._Tail._stands_still

    async def slowly(self: reader._Tail) -> bool:
        still = await stands_still(self)
        looked.set()
        await go_on.wait()
        return still

    monkeypatch.setattr(reader._Tail, "_stands_still", slowly)
    async with streams.follow(session_id, turn_id) as first:
        told = await first.until("turn.waiting")
        await looked.wait()
        await Decider(bench.database).decide(
            UUID(waiting["approvals"][0]["approval_id"]), "approved", by="alice", may=()
        )
        assert await bench.session_worker.run_next(session_id, seconds=60)

        async def answered() -> list[str]:
            after = numbers(told)[-1]
            async with streams.follow(session_id, turn_id, after) as second:
                return [frame.event for frame in await second.rest()]

        rest = asyncio.ensure_future(answered())
        await until(lambda: streams.answering == 2 or rest.done())
        go_on.set()

        assert (await rest)[-1] == "turn.completed"
        assert (await first.rest())[-1].event == "turn.completed"


async def test_who_is_told_that_it_waits_is_told_what_it_waits_for_by_now(
    new_streams: NewStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a turn that went on, and waits again, between a look at its log and one at Postgres."""
    steps = [call("pay", "call_p", title="milk"), call("pay", "call_q", title="bread")]
    streams = await new_streams(in_order(*steps))
    bench = streams.bench
    bench.agent = Agent("till", tools=[pay])
    session_id = bench.new_session()
    async with streams.send(session_id) as reading:
        before = await reading.rest()
    stands_still = reader._Tail._stands_still
    looked = 0

    async def later(self: reader._Tail) -> bool:
        nonlocal looked
        looked += 1
        if looked == 1:
            (asked,) = data(before[-1])["approvals"]
            decider = Decider(bench.database)
            await decider.decide(UUID(asked["approval_id"]), "approved", by="alice", may=())
            assert await bench.session_worker.run_next(session_id, seconds=HANG_SECONDS)
        return await stands_still(self)

    monkeypatch.setattr(reader._Tail, "_stands_still", later)
    async with streams.follow(session_id, data(before[0])["turn_id"]) as reading:
        told = await reading.rest()

    assert told[: len(before)] == before
    assert [frame.event for frame in told[len(before) :]] == [
        "turn.resumed", "approval.decided", "tool.called", "tool.returned", "turn.waiting",
    ]  # fmt: skip
    (asked,) = data(told[-1])["approvals"]
    assert asked["call_id"] == "call_q"
