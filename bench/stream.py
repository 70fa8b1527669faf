"""A turn that is streamed: how soon its first word arrives, its cost, and what readers do to it.

    make bench-stream STORE=sqlite TURNS=100

The stream function runs with its own start command, beside an embedded PostgreSQL, SQLite or moto,
and a model's server that speaks at a given pace. Three things are measured: the time from the
model's first delta to the client's first `message.delta`; the writes and bytes of a ten-second
answer at 20 and at 200 words a second; and how long the same turn takes, as Postgres has it, with
different readers: of short words, and of words so long that what is said is more than the buffers
between the app and a reader hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import httpx
from bench.stream_readers import CASES, READERS, Turn, ended, send, words
from bench.stream_setup import PATIENCE_SECONDS, Setup, setup


async def first_deltas(at: Setup, client: httpx.AsyncClient, turns: int) -> list[float]:
    """Return the milliseconds from the model's first delta to the client's, of each turn."""
    took = []
    for number in range(turns + 5):  # the first are the process's cold start
        turn = words(3, rate=20)
        given = len(at.model.lines)
        await send(at, client, turn)
        if number >= 5:
            took.append((turn.first_delta - at.model.lines[given]["at"]) * 1000)
    return took


async def cost(at: Setup, client: httpx.AsyncClient, rate: float, seconds: float) -> dict[str, Any]:
    """Stream one answer and give what was written for it."""
    turn = words(int(rate * seconds), rate=rate)
    before = len(at.aws.lines)
    await send(at, client, turn)
    assert turn.text == turn.wanted
    took = await ended(at, turn)
    written = _written(at, turn) if at.memory else _told(at.aws.lines[before:])
    return {
        "words a second": rate,
        "seconds": round(took, 2),
        "events": len(turn.events),
        "bytes to the client": turn.bytes,
        "bytes of text": len(turn.text),
        **written,
    }


def _written(at: Setup, turn: Turn) -> dict[str, Any]:
    """Count in the file: each row is one write."""
    assert at.memory is not None
    like = (f"%{turn.session_id}",)
    found = {}
    with closing(sqlite3.connect(at.memory)) as connection:
        for table, what in (("event_chunks", "event log"), ("turns", "memory")):
            count = f"SELECT count(*), coalesce(sum(length(payload)), 0) FROM {table}"
            row = connection.execute(f"{count} WHERE conversation LIKE ?", like).fetchone()
            found[f"{what}: writes, bytes"] = list(row)
    return found


def _told(lines: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Count the requests to DynamoDB: the bytes are those of the requests, in base64."""
    operations = sorted({operation for operation, _ in lines})
    sizes = {each: [size for operation, size in lines if operation == each] for each in operations}
    return {f"{each}: writes, bytes": [len(sizes[each]), sum(sizes[each])] for each in operations}


async def durations(
    at: Setup, client: httpx.AsyncClient, letters: int, seconds: float, repeat: int
) -> dict[str, list[float]]:
    """Return the seconds that the same turn took with different readers, fastest first."""
    took: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(repeat):
        for name, reading in CASES.items():
            turn = words(int(200 * seconds), rate=200, letters=letters)
            await reading(at, client, turn)
            took[name].append(round(await ended(at, turn), 3))
    return {name: sorted(each) for name, each in took.items()}


async def measured(at: Setup, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    timeout = httpx.Timeout(PATIENCE_SECONDS)
    limits = httpx.Limits(max_connections=READERS + 10)
    async with httpx.AsyncClient(timeout=timeout, limits=limits) as client:
        deltas = await first_deltas(at, client, arguments.turns)
        costs = [await cost(at, client, rate, arguments.seconds) for rate in (20, 200)]
        seconds = arguments.seconds / 4
        took = {
            f"words of {letters} letters": await durations(
                at, client, letters, seconds, arguments.repeat
            )
            for letters in (5, 6000)
        }
    return {
        "store": arguments.store,
        "turns": arguments.turns,
        "the model's first delta to the client's, ms (median, p95)": _figures(deltas),
        "an answer's cost": costs,
        f"a turn's seconds by reader ({seconds:g} s of words)": took,
    }


def _figures(milliseconds: list[float]) -> list[float]:
    if len(milliseconds) < 2:
        return milliseconds
    return [
        round(statistics.median(milliseconds), 1),
        round(statistics.quantiles(milliseconds, n=20)[-1], 1),
    ]


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=["sqlite", "dynamodb"], default="sqlite")
    parser.add_argument("--turns", type=int, default=100, help="whose first words are timed")
    parser.add_argument("--seconds", type=float, default=10, help="that an answer takes")
    parser.add_argument("--repeat", type=int, default=3, help="turns for each kind of reader")
    arguments = parser.parse_args()
    with setup(arguments.store) as at:
        print(json.dumps(asyncio.run(measured(at, arguments))))


if __name__ == "__main__":
    main()
