"""Sending a message and reading the turn as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import pytest

from parley.events import reader, writer
from parley.http.event_schemas import TurnEvent
from parley.ids import TurnKey
from parley.timing import TURN_MARGIN_SECONDS
from parley_testing.models.scripted import Streamed, in_order, say
from parley_testing.models.steps import Called, Gate
from parley_testing.streams.streaming import Streams, data, numbers, text_of
from parley_testing.waiting import HANG_SECONDS, longer_and_longer, until

NewStreams = Callable[..., Awaitable[Streams]]


async def test_a_turn_is_told_from_its_start_to_its_end(new_streams: NewStreams) -> None:
    calling = Streamed("Let me ", "see.", calls=[Called("add_task", {"title": "milk"}, "call_a")])
    streams = await new_streams(in_order(calling, Streamed("Ad", "ded.")))
    session_id = streams.bench.new_session()

    async with streams.send(session_id) as reading:
        frames = await reading.rest()

    assert reading.status == 200
    assert reading.response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reading.response.headers["cache-control"] == "no-store"
    assert reading.raw.startswith(b"retry: 1000\n\n")
    assert numbers(frames) == list(range(1, len(frames) + 1))
    kinds = [frame.event for frame in frames]
    assert [kind for kind in kinds if kind != "message.delta"] == [
        "turn.started", "message.completed", "tool.called", "tool.returned",
        "message.completed", "turn.completed",
    ]  # fmt: skip
    assert text_of(frames) == "Let me see.Added."
    (turn,) = streams.turns(session_id)
    assert {data(frame)["turn_id"] for frame in frames} == {str(turn.id)}
    path = urljoin(
        f"/v1/sessions/{session_id}/messages/stream", reading.response.headers["location"]
    )
    assert path == f"/v1/sessions/{session_id}/turns/{turn.id}"
    for frame in frames:  # as the document says
        TurnEvent.model_validate_json(frame.data)


async def test_a_piece_is_told_while_the_model_thinks_of_the_next(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))

    async with streams.send(streams.bench.new_session()) as reading:
        frames = await reading.until("message.delta")
        assert text_of(frames) == "Hel"
        gate.open()
        frames += await reading.rest()

    assert text_of(frames) == "Hello"
    assert frames[-1].event == "turn.completed"


async def test_a_first_message_makes_its_session_once(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(Streamed("one"), Streamed("two")))
    body = {"text": "hello", "session_name": "grün"}
    told = []

    for _ in range(2):
        async with streams.ask(
            "POST", "/messages/stream", body, user="jürgen", headers={"idempotency-key": "k"}
        ) as reading:
            frames = await reading.rest()
            told.append([data(frame) for frame in frames])

    assert told[0] == told[1]
    assert reading.response.headers["idempotent-replayed"] == "true"
    session_id = told[0][0]["session_id"]
    (turn,) = streams.turns(UUID(session_id), user="jürgen")
    path = urljoin("/v1/messages/stream", reading.response.headers["location"])
    assert path == f"/v1/sessions/{session_id}/turns/{turn.id}"


async def test_the_same_key_joins_the_turn_that_runs(new_streams: NewStreams, gate: Gate) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))
    session_id = streams.bench.new_session()
    key = {"idempotency-key": "k"}

    async with streams.send(session_id, headers=key) as first:
        begun = await first.until("message.delta")
        async with streams.send(session_id, headers=key) as second:
            joined = await second.until("message.delta")
            gate.open()
            assert begun + await first.rest() == joined + await second.rest()

    assert len(streams.turns(session_id)) == 1


async def test_a_failed_turn_ends_with_an_event(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(Streamed("Hel", end="failed")))

    async with streams.send(streams.bench.new_session()) as reading:
        *_, last = await reading.rest()

    assert (reading.status, last.event) == (200, "turn.failed")
    assert data(last)["code"] == "model_failed"


@pytest.mark.parametrize(
    ("answer", "last"),
    [(Streamed("Ad", "ded."), "turn.completed"), (Streamed("Ad", end="failed"), "turn.failed")],
)
async def test_what_has_happened_is_in_the_log_before_memory_is_done(
    new_streams: NewStreams, answer: Streamed, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who goes on from a finished memory runs nothing, and so knows of nothing else to tell.
    monkeypatch.setattr(writer, "GATHER_SECONDS", HANG_SECONDS)
    calling = Streamed("Let me ", "see.", calls=[Called("add_task", {"title": "milk"}, "call_a")])
    streams = await new_streams(in_order(calling, answer))
    store, log = streams.bench.store, streams.log
    known: list[str] = []
    finish = store.finish

    def finished(conversation: str, turn: TurnKey, *rest: Any) -> None:
        known.extend(event.type for event in log.read(conversation, turn))
        finish(conversation, turn, *rest)

    monkeypatch.setattr(store, "finish", finished)

    async with streams.send(streams.bench.new_session()) as reading:
        told = [frame.event for frame in await reading.rest()]

    assert told[-1] == last
    assert "message.delta" in known[known.index("tool.returned") :]
    assert told[: len(known)] == known
    assert all(kind in ("message.completed", last) for kind in told[len(known) :])


async def test_a_reader_that_goes_away_does_not_stop_the_turn(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))
    session_id = streams.bench.new_session()

    async with streams.send(session_id) as reading:
        await reading.until("message.delta")
    gate.open()

    await until(lambda: streams.turns(session_id)[0].status == "completed")
    (turn,) = streams.turns(session_id)
    async with streams.follow(session_id, turn.id, after=1) as rest:
        assert text_of(await rest.rest()) == "Hello"


async def test_a_reader_that_never_reads_does_not_hold_the_turn_up(
    new_streams: NewStreams,
) -> None:
    parts = ["x" * 900_000] * 4  # of two answers, since a reply has a limit
    first = Streamed(*parts, calls=[Called("list_tasks", {})])
    streams = await new_streams(in_order(first, Streamed(*parts)))
    session_id = streams.bench.new_session()

    async with streams.send(session_id):
        await until(lambda: streams.turns(session_id)[0].status == "completed")


async def test_fifty_readers_cost_the_turn_no_write(
    new_streams: NewStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody reads because time passes.
    monkeypatch.setattr(writer, "LOOK_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(reader, "_FIRST_PAUSE", HANG_SECONDS)
    monkeypatch.setattr(reader, "_LONGEST_PAUSE", HANG_SECONDS)
    streams = await new_streams()

    async def turn(readers: int) -> tuple[int, int]:
        gates = [Gate(), Gate(), Gate()]
        streams.bench.model.script = in_order(
            Streamed("a", gates[0], "b", gates[1], "c", gates[2], "d")
        )
        session_id = streams.bench.new_session()
        appended, reads = streams.log.appended, streams.log.reads
        async with streams.send(session_id) as reading:
            first = await reading.next()
            turn_id = data(first)["turn_id"]

            there: list[Any] = []

            async def read() -> list[Any]:
                async with streams.follow(session_id, turn_id) as other:
                    began = await other.next()
                    there.append(began)
                    return [began, *await other.rest()]

            others = [asyncio.ensure_future(read()) for _ in range(readers)]
            # Who comes when it is over reads by himself.
            await until(lambda: len(there) == readers)
            for place, gate in enumerate(gates, 2):
                # Text is gathered by the clock: each piece has its write before the next is said.
                await until(lambda place=place: streams.log.appended - appended == place)
                await until(lambda gate=gate: gate.is_reached)
                gate.open()
            frames = [first, *await reading.rest()]
            for told in await asyncio.gather(*others):
                assert told == frames
        assert text_of(frames) == "abcd"
        return streams.log.appended - appended, streams.log.reads - reads

    alone, _ = await turn(0)
    shared, reads = await turn(50)

    assert shared == alone
    assert reads < 50


async def test_a_turn_that_waits_is_followed_until_it_runs(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed(gate, "one"), say("two")))
    session_id = streams.bench.new_session()

    async with streams.send(session_id) as first:
        await first.next()
        body = {"text": "next", "on_conflict": "enqueue"}
        path = f"/sessions/{session_id}/messages/stream"
        async with streams.ask("POST", path, body) as second:
            assert second.status == 200
            gate.open()
            await first.rest()
            assert await streams.bench.session_worker.run_next(session_id, seconds=60)
            frames = await second.rest()

    assert text_of(frames) == "two"
    assert frames[-1].event == "turn.completed"


async def test_a_turn_that_outlasts_its_invocation_is_let_go(
    new_streams: NewStreams, gate: Gate, released: Callable[[UUID], bool]
) -> None:
    streams = await new_streams()

    for seconds in longer_and_longer(1):
        streams.bench.model.script = in_order(Streamed("Hel", gate), say("Hello"))
        session_id = streams.bench.new_session()
        async with streams.send(session_id, seconds=TURN_MARGIN_SECONDS + seconds) as reading:
            await until(lambda session_id=session_id: released(session_id))
            if gate.is_reached:  # it came as far as its text in time
                assert await streams.bench.session_worker.run_next(session_id, seconds=60)
                told = await reading.rest()
                break

    kinds = [frame.event for frame in told]
    assert kinds.count("turn.resumed") == 1
    assert kinds[-1] == "turn.completed"
