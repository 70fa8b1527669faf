"""A server that stops: its turns are let go of, and its readers told to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from parley.http.running import RunningTurns
from parley.turns.send import OpenedTurn
from parley_testing.models.scripted import Streamed, in_order, say
from parley_testing.models.steps import Gate
from parley_testing.streams.streaming import Streams, data
from parley_testing.waiting import until
from parley_testing.workbench import Workbench, request

NewStreams = Callable[..., Awaitable[Streams]]


async def test_a_running_turn_is_let_go_of_and_goes_on_elsewhere(
    new_streams: NewStreams, gate: Gate, released: Callable[[UUID], bool]
) -> None:
    stopping = await new_streams(in_order(Streamed("Hel", gate)))
    other = await new_streams(in_order(say("Hello")))
    session_id = stopping.bench.new_session()

    async with stopping.send(session_id) as reading:
        told = await reading.until("message.delta")
        await stopping.stop()
        assert released(session_id)
        told += await reading.rest()  # ends as a stream should
    assert await other.bench.session_worker.run_next(session_id, seconds=60)
    async with other.follow(session_id, data(told[0])["turn_id"], len(told)) as rest:
        told += await rest.rest()

    kinds = [frame.event for frame in told]
    assert kinds[:2] == ["turn.started", "message.delta"]
    assert kinds[2:4] == ["turn.resumed", "message.reset"]
    assert kinds[-1] == "turn.completed"


async def test_a_turn_that_is_just_being_begun_is_let_go_of_too(
    new_bench: Callable[..., Workbench], gate: Gate, released: Callable[[UUID], bool]
) -> None:
    bench = new_bench(in_order(Streamed(gate)))
    session_id = bench.new_session()
    running = RunningTurns()
    begin = Gate()

    async def opening() -> OpenedTurn:
        await begin.wait()
        return await bench.sender.open(request(session_id), seconds=60)

    asked = asyncio.ensure_future(running.open(opening()))
    await until(lambda: begin.is_reached)
    asked.cancel()
    begin.open()
    await running.let_go()

    assert asked.cancelled()
    assert released(session_id)
