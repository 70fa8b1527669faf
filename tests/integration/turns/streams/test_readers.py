"""Readers that are slow, or do not read at all: to the turn it is as if nobody read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from parley_testing.models.scripted import Streamed, in_order
from parley_testing.models.steps import Gate
from parley_testing.run.at_length import times
from parley_testing.streams.streaming import Streams, data, numbers, text_of
from parley_testing.waiting import until

NewStreams = Callable[..., Awaitable[Streams]]

PIECES = [str(number) * 100_000 for number in range(8)]


async def test_readers_that_stall_cost_a_turn_no_write_and_no_call(
    new_streams: NewStreams,
) -> None:
    streams = await new_streams()

    alone = await cost(streams, readers=0)
    crowded = await cost(streams, readers=times(enough=12, full=50))

    assert crowded == alone
    # Its start, each piece, and its end.
    assert alone[0] == len(PIECES) + 2
    assert alone[1]


async def cost(streams: Streams, *, readers: int) -> tuple[int, list[str]]:
    """Run a turn that nobody but a slow reader reads until it is over.

    Returns:
        How often its log was written, and what was asked of memory.
    """
    gates = [Gate() for _ in [*PIECES, "the end"]]
    said = [part for pair in zip(gates, PIECES, strict=False) for part in pair]
    streams.bench.model.script = in_order(Streamed(*said, gates[-1]))
    session_id = streams.bench.new_session()
    appended, calls = streams.log.appended, len(streams.bench.watched.calls)

    def written() -> int:
        return streams.log.appended - appended

    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(streams.send(session_id))
        first = await sender.next()
        turn_id = data(first)["turn_id"]
        all_others = [
            await stack.enter_async_context(streams.follow(session_id, turn_id))
            for _ in range(readers)
        ]
        slow, told = all_others[:1], []
        for place, gate in enumerate(gates, 1):
            # Text is gathered by the clock: each piece has its write before the next is said.
            await until(lambda place=place: written() == place)
            await until(lambda gate=gate: gate.is_reached)
            gate.open()
            for reader in slow:
                told.append(await reader.next())
        await until(lambda: streams.turns(session_id)[0].status == "completed")
        await until(lambda: written() == len(gates) + 1)
        spent = written(), streams.bench.watched.calls[calls:]

        frames = [first, *await sender.rest()]
        assert text_of(frames) == "".join(PIECES)
        assert numbers(frames) == list(range(1, len(frames) + 1))
        for reader in all_others:
            assert (told if reader in slow else []) + await reader.rest() == frames
    return spent
