"""A turn's events over real connections that break: nothing is lost, and nothing comes twice.

PARLEY_FUZZ_EXAMPLES makes it longer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import aclosing, closing
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_client import AsyncParley, MessageDelta, MessageReset, Parley, TurnEvent
from parley_testing.streams.event_server import Act, EventServer
from parley_testing.streams.event_stream import (
    SESSION_ID,
    TURN_ID,
    Event,
    completed,
    delta,
    numbered,
    replied,
    said,
    started,
    wire,
)
from parley_testing.waiting import HANG_SECONDS

EXAMPLES = int(os.environ.get("PARLEY_FUZZ_EXAMPLES", "0"))
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 900)

EVENTS_PATH = f"/sessions/{SESSION_ID}/turns/{TURN_ID}/events"
TEXT = "Grüße 😀, and what else there is to say.\n\n"

Read = Callable[[str, UUID | None], list[TurnEvent]]


def turn(deltas: int) -> list[Event]:
    """A turn in which a process died, and wrote the message anew."""
    return numbered(
        started(),
        delta("What is void"),
        ("turn.resumed", {"attempt": 2}),
        ("message.reset", {"step": 1}),
        *[delta(TEXT)] * deltas,
        said(TEXT * deltas),
        completed(),
    )


def read_sync(url: str, session_id: UUID | None) -> list[TurnEvent]:
    with Parley(url, "t", sleep=lambda _: None) as parley:
        if session_id is None:
            return list(parley.stream_first_message("hi"))
        return list(parley.stream_message(session_id, "hi"))


def read_async(url: str, session_id: UUID | None) -> list[TurnEvent]:
    async def no_time(_: float) -> None:
        await asyncio.sleep(0)

    async def done() -> list[TurnEvent]:
        async with AsyncParley(url, "t", sleep=no_time) as parley:
            if session_id is None:
                return [event async for event in parley.stream_first_message("hi")]
            return [event async for event in parley.stream_message(session_id, "hi")]

    return asyncio.run(done())


@pytest.fixture(params=[read_sync, read_async], ids=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Read:
    chosen: Read = request.param
    return chosen


def text_of(events: list[TurnEvent]) -> str:
    text = ""
    for event in events:
        match event:
            case MessageDelta():
                text += event.text
            case MessageReset():
                text = ""
    return text


# The whole answer has some 3,000 bytes.
BYTES = st.one_of(st.integers(0, 300), st.integers(0, 4000))
CHUNK = st.sampled_from([1, 7, 100, 100_000])
ACTS = st.one_of(
    st.builds(Act, status=st.sampled_from([502, 503, 504])),
    st.builds(Act, cut=BYTES, reset=st.booleans(), back=st.integers(0, 9), chunk=CHUNK),
    st.builds(Act, events=st.integers(0, 8), back=st.integers(0, 9), chunk=CHUNK),
    st.builds(Act, without=st.integers(0, 8), back=st.integers(0, 9), chunk=CHUNK),
)


@pytest.mark.parametrize("reader", [read_sync, read_async], ids=["sync", "async"])
@given(
    plan=st.lists(ACTS, max_size=8),
    deltas=st.integers(1, 8),
    session_id=st.sampled_from([SESSION_ID, None]),
)
@settings(max_examples=EXAMPLES or 40, deadline=None)
def test_whatever_breaks_where_each_event_comes_once(
    reader: Read, plan: list[Act], deltas: int, session_id: UUID | None
) -> None:
    events = turn(deltas)
    with EventServer(events, *plan) as server:
        found = reader(server.url, session_id)

    assert [event.model_dump(mode="json") for event in found] == events
    assert text_of(found) == TEXT * deltas
    posts = [asked for asked in server.asked if asked.method == "POST"]
    assert len({asked.headers["Idempotency-Key"] for asked in posts}) == 1
    assert {asked.path for asked in server.asked if asked.method == "GET"} <= {EVENTS_PATH}


def test_a_cut_at_one_place_after_another(read: Read) -> None:
    events = replied("ü", "é")
    places = range(0, len(wire(events[:-1])), 11)
    plan = [act for place in places for act in (Act(cut=place), Act())]

    with EventServer(events, *plan) as server:
        for _ in places:
            found = read(server.url, SESSION_ID)
            assert [event.model_dump(mode="json") for event in found] == events

    assert len(server.asked) == 2 * len(places)


def test_who_stops_early_hangs_up() -> None:
    with (
        EventServer(turn(2), Act(events=3, hold=True)) as server,
        Parley(server.url, "t") as parley,
    ):
        with closing(parley.stream_message(SESSION_ID, "hi")) as events:
            next(events)

        assert server.left.wait(HANG_SECONDS)


async def test_who_stops_early_hangs_up_on_an_event_loop() -> None:
    with EventServer(turn(2), Act(events=3, hold=True)) as server:
        async with AsyncParley(server.url, "t") as parley:
            async with aclosing(parley.stream_message(SESSION_ID, "hi")) as events:
                await anext(events)

            assert await asyncio.to_thread(server.left.wait, HANG_SECONDS)


async def test_who_is_cancelled_hangs_up() -> None:
    with EventServer(turn(2), Act(events=3, hold=True)) as server:
        async with AsyncParley(server.url, "t") as parley:
            seen = asyncio.Event()

            async def read() -> None:
                async with aclosing(parley.follow_turn(SESSION_ID, TURN_ID)) as events:
                    async for event in events:
                        if event.sequence == 3:
                            seen.set()

            reader = asyncio.create_task(read())
            await seen.wait()
            reader.cancel()

            assert await asyncio.to_thread(server.left.wait, HANG_SECONDS)
            await asyncio.wait([reader])
            assert reader.cancelled()
