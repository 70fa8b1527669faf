"""How many streams one user may hold: sent or followed, in whichever protocol."""

from __future__ import annotations

import multiprocessing
import re
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import LimitReached
from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.fair_use import FairUse
from parley.repository.streams import Place, StreamPlaces
from parley.repository.transcript import Transcript
from parley.repository.turns import TurnRepository
from parley_testing.models.scripted import Streamed, in_order, say
from parley_testing.models.steps import Gate
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.scenarios.at_once import at_once
from parley_testing.streams.places import take_and_die
from parley_testing.streams.streaming import Reading, Streams, data
from parley_testing.waiting import HANG_SECONDS, until
from parley_testing.workbench import Workbench, request

NewStreams = Callable[..., Awaitable[Streams]]
TWO = FairUse(streams=2)
SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": ("/messages/stream", {"text": "hi"}),
    "AG-UI": (
        "/ag-ui/todo",
        {
            "threadId": "thread-1",
            "runId": "run-1",
            "messages": [{"id": "m-1", "role": "user", "content": "hi"}],
        },
    ),
    "AI SDK": (
        "/ai-sdk/chat",
        {
            "id": "V1StGXR8",
            "messages": [{"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}],
        },
    ),
}


@pytest.fixture
def held(sql: psycopg.Connection) -> Callable[[], int]:
    """Tells how many places alice's streams have, also those whose time is up."""

    def held() -> int:
        row = sql.execute("SELECT streams FROM user_limits WHERE user_id = 'alice'").fetchone()
        return 0 if row is None else len(row[0])

    return held


async def is_refused(reading: Reading) -> dict[str, Any]:
    document: dict[str, Any] = await reading.json()
    told = (reading.status, document["code"], document["limit"])
    assert told == (429, "too_many_streams", "user_max_streams"), document
    assert 1 <= int(reading.response.headers["retry-after"]) <= 60
    assert document["detail"].startswith("2 streams of yours are read already; more may not be.")
    return document


async def two_of(
    streams: Streams, stack: AsyncExitStack
) -> tuple[UUID, str, tuple[Reading, Reading]]:
    """Have alice send a message and follow its turn; give session, turn, and who reads.

    A reading that nobody keeps is closed.
    """
    session_id = streams.bench.new_session()
    sent = await stack.enter_async_context(streams.send(session_id))
    turn_id = data(await sent.next())["turn_id"]
    followed = await stack.enter_async_context(streams.follow(session_id, turn_id))
    await followed.next()
    return session_id, turn_id, (sent, followed)


@pytest.mark.parametrize("follows", [False, True], ids=["send", "follow"])
@pytest.mark.parametrize(("left", "most"), [(8_400, 60), (30, 30)])
async def test_who_finds_no_place_is_told_when_the_first_is_free(
    new_streams: NewStreams, sql: psycopg.Connection, left: int, most: int, *, follows: bool
) -> None:
    """Given places of processes that died, then the time is told, and a wait that is not longer."""
    streams = await new_streams(in_order(say("hi")), fair_use=TWO)
    session_id = streams.bench.new_session()
    done = await streams.bench.send(session_id)
    sql.execute(
        "INSERT INTO user_limits (user_id, streams) SELECT 'alice', jsonb_build_object("
        " 'dead', n.moment + %s, 'over', 1, 'later', n.moment + 9000)"
        " FROM (SELECT extract(epoch FROM now()) AS moment) n",
        [left],
    )
    asking = streams.follow(session_id, done.view.turn.id) if follows else streams.send(session_id)

    async with asking as reading:
        document = await is_refused(reading)
        wait = int(reading.response.headers["retry-after"])

    assert wait <= most
    said = re.search(r"The first is over in (\d+) seconds, if not before", document["detail"])
    assert said is not None, document
    assert left - 60 < int(said[1]) <= left
    assert wait == min(int(said[1]), 60)


@pytest.mark.parametrize("way", SENT)
async def test_whoever_holds_as_many_begins_nothing_with_another(
    new_streams: NewStreams, gate: Gate, sql: psycopg.Connection, way: str
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo"), say("hi")), fair_use=TWO)
    path, body = SENT[way]
    async with AsyncExitStack() as stack:
        _, _, readings = await two_of(streams, stack)
        await until(lambda: gate.is_reached)  # or bob's turn were given what is said in hers

        async with streams.ask("POST", path, body) as reading:
            await is_refused(reading)

        kept = sql.execute("SELECT (SELECT count(*) FROM turns), (SELECT count(*) FROM sessions)")
        assert kept.fetchone() == (1, 1)
        async with streams.ask("POST", path, body, user="bob") as reading:
            assert reading.status == 200  # another user is none the worse
            await reading.rest()
        gate.open()
        for reading in readings:
            await reading.rest()


async def test_another_turn_is_not_followed_either(
    new_streams: NewStreams, gate: Gate, held: Callable[[], int]
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo"), say("hi")), fair_use=TWO)
    async with AsyncExitStack() as stack:
        session_id, turn_id, readings = await two_of(streams, stack)

        async with streams.follow(session_id, turn_id) as reading:
            await is_refused(reading)
        async with streams.ask("GET", f"/ai-sdk/chat/{session_id}/stream") as reading:
            await is_refused(reading)
        async with streams.follow(session_id, new_id()) as reading:
            assert reading.status == 404
        assert held() == 2
        gate.open()
        for reading in readings:
            await reading.rest()
    await until(lambda: streams.answering == 0)

    assert held() == 0


async def test_the_turn_of_a_key_is_not_told_again_meanwhile_and_goes_on(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")), fair_use=TWO)
    session_id, key = streams.bench.new_session(), {"idempotency-key": "k"}
    async with AsyncExitStack() as stack:
        readings = [
            await stack.enter_async_context(streams.send(session_id, headers=key)) for _ in range(2)
        ]
        for reading in readings:
            await reading.next()

        async with streams.send(session_id, headers=key) as refused:
            await is_refused(refused)
        gate.open()
        for reading in readings:
            await reading.rest()
    async with streams.send(session_id, headers=key) as reading:
        assert reading.status == 200
        await reading.rest()

    assert [turn.status for turn in streams.turns(session_id)] == ["completed"]


async def test_a_reader_that_goes_leaves_its_place_and_a_turn_keeps_its_own(
    new_streams: NewStreams, gate: Gate, held: Callable[[], int]
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")), fair_use=TWO)
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as sent:
        turn_id = data(await sent.next())["turn_id"]
        async with streams.follow(session_id, turn_id) as followed:
            await followed.next()
            assert held() == 2
        await until(lambda: held() == 1)
    # Its reader is gone too, and the process is still busy with the turn.
    async with streams.follow(session_id, turn_id) as followed:
        await followed.next()
        async with streams.send(streams.bench.new_session()) as refused:
            await is_refused(refused)
        gate.open()
        await followed.rest()
    await until(lambda: streams.answering == 0)

    assert held() == 0


async def test_what_is_refused_for_something_else_leaves_its_place(
    new_streams: NewStreams, held: Callable[[], int]
) -> None:
    streams = await new_streams(in_order(say("hi")), fair_use=TWO)
    session_id = streams.bench.new_session()
    over = streams.bench.begin(streams.bench.new_session())

    for path, status in [
        (f"/sessions/{session_id}/turns/{new_id()}/events", 404),
        (f"/sessions/{over.session_id}/turns/{over.id}/events?after=x", 422),
        ("/ai-sdk/chat/nothing/stream", 204),
    ]:
        async with streams.ask("GET", path) as reading:
            assert reading.status == status
    async with streams.send(over.session_id, "in the way") as reading:
        assert reading.status == 409
    await until(lambda: streams.answering == 0)

    assert held() == 0


async def test_a_process_that_dies_has_its_place_for_a_time_only(
    new_streams: NewStreams, database_url: str, sql: psycopg.Connection, held: Callable[[], int]
) -> None:
    streams = await new_streams(in_order(*[say("hi")] * 3), fair_use=TWO)
    turn = streams.bench.begin(streams.bench.new_session())
    for _ in range(2):
        process = multiprocessing.get_context("spawn").Process(
            target=take_and_die, args=(database_url, turn.session_id, turn.id)
        )
        process.start()
        process.join(HANG_SECONDS)
        assert process.exitcode == -signal.SIGKILL
    session_id = streams.bench.new_session()
    async with streams.send(session_id) as reading:
        await is_refused(reading)

    sql.execute(
        "UPDATE user_limits SET streams = (SELECT jsonb_object_agg(key, value::float - 3600)"
        " FROM jsonb_each(streams))"
    )

    async with streams.send(session_id) as reading:
        assert reading.status == 200
        await reading.rest()
    await until(lambda: streams.answering == 0)
    assert held() == 0  # what the dead had is not kept either


async def test_any_number_may_be_held_where_there_is_no_limit(
    new_streams: NewStreams, gate: Gate, sql: psycopg.Connection
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))
    async with AsyncExitStack() as stack:
        session_id, turn_id, readings = await two_of(streams, stack)
        more = [
            await stack.enter_async_context(streams.follow(session_id, turn_id)) for _ in range(25)
        ]
        assert {reading.status for reading in more} == {200}
        gate.open()
        for reading in (*readings, *more):
            await reading.rest()
    await until(lambda: streams.answering == 0)

    assert sql.execute("SELECT FROM user_limits WHERE streams <> '{}'").rowcount == 0


def test_sending_and_following_at_once_take_no_more_places_than_there_are(
    database_url: str, bench: Workbench, held: Callable[[], int]
) -> None:
    turn = bench.begin(bench.new_session())
    wanted = [request(bench.new_session()) for _ in range(24)]

    def take(database: Database, number: int) -> bool:
        place = Place(new_id(), 5, 60.0)
        if number % 2:
            turns = TurnRepository(database, window=100, fair_use=FairUse(streams=5))
            begun = turns.begin(replace(wanted[number], place=place))
            return begun.outcome == "running"
        try:
            Transcript(database).turn("alice", turn.session_id, turn.id, place=place)
        except LimitReached:
            return False
        return True

    assert sum(at_once(database_url, 24, take)) == 5
    assert held() == 5


def test_a_place_is_taken_in_the_round_trip_of_the_look_and_of_the_begin(
    wire: PostgresWire, bench: Workbench
) -> None:
    turn = bench.begin(bench.new_session())
    session_id = bench.new_session()
    database = Database(lambda: wire.url, statement_timeout=10)
    transcript, places = Transcript(database), StreamPlaces(database, 5)
    turns = TurnRepository(database, window=100, fair_use=FairUse(streams=5))
    transcript.turn("alice", turn.session_id, turn.id)  # it is warm

    for look in (
        lambda place: transcript.turn("alice", turn.session_id, turn.id, place=place),
        lambda place: transcript.open_turn("alice", "k", turn.session_id, place=place),
        lambda place: turns.begin(replace(request(session_id), place=place)),
        lambda place: places.leave("alice", place),
    ):
        wire.reset()
        look(Place(new_id(), 5, 60.0))
        assert wire.round_trips == 1, wire.statements
    database.close()
