"""All of Parley's speed beside that of others, written into docs/performance.md with its pictures.

    make bench

Each figure is the median of many, of requests that all sides take turns in, on one machine within
minutes: compare the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import performance_page, plots
from bench.imported import Library
from bench.instant_model import TOOL
from bench.memories import Taken, memories
from bench.migrated import migrated
from bench.sending import DYNAMODB, LIMITED, Lengths, Measured, Sides, sides
from bench.sides import Cost
from bench.starts import parts, starts

DOCS = Path(__file__).parents[1] / "docs"
LATENCIES = (0, 1)
"""Milliseconds that each round trip lasts longer."""

HISTORIES = (10, 100, 1_000)
"""Turns that a session has had."""

SIMPLE = ("create", "get", "list")


@dataclass
class Figures:
    """All that was measured.

    Attributes:
        simple: Requests for sessions, by latency and what was asked.
        turns: A turn without tools, by latency and history.
        tools: A turn with one call of a tool at a hundred turns, by latency.
        lengths: A turn of Parley's alone, by history.
        memories: What a turn's memory takes.
        redis: Whether there was a Redis.
        starts: What starting takes.
        parts: What a function of each kind imports, by library.
        machine: What it was measured on.
    """

    simple: dict[tuple[int, str], Measured]
    turns: dict[tuple[int, int], Measured]
    tools: dict[int, Measured]
    lengths: Lengths
    memories: Taken
    redis: bool
    starts: dict[str, Cost]
    parts: dict[str, list[Library]]
    machine: str


def measure(rounds: int) -> Figures:
    """Measure all of it, in a few minutes."""
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {what}", flush=True)

    with migrated() as made:
        say("starting the sides")
        with sides(made) as started:
            simple, turns, tools = _requests(started, rounds, say)
            say("turns by their session's length")
            started.latency(0)
            lengths = started.lengths(HISTORIES[1:], 2 * rounds, times=6)
        say("memory")
        taken, redis = memories(made, rounds, times=2)
        say("imports")
        began, imported = starts(rounds), parts()
    load = os.getloadavg()[2]
    say("done")
    machine = (
        f"{datetime.now(UTC):%-d %B %Y}, {platform.system()} on {platform.machine()} with"
        f" {os.cpu_count()} processors, load {load:.1f}, Python {platform.python_version()}"
    )
    return Figures(simple, turns, tools, lengths, taken, redis, began, imported, machine)


def _requests(
    started: Sides, rounds: int, say: performance_page.Say
) -> tuple[dict[tuple[int, str], Measured], dict[tuple[int, int], Measured], dict[int, Measured]]:
    simple, turns, tools = {}, {}, {}
    for latency in LATENCIES:
        started.latency(latency)
        for what in SIMPLE:
            say(f"{what} with {latency} ms")
            simple[latency, what] = started.simple(what, rounds, times=20)
        for history in HISTORIES:
            say(f"turns after {history} with {latency} ms")
            # What moto takes grows with its table; the limited peer is as the other one before.
            without = [DYNAMODB] if history > 100 else [LIMITED] if history < 100 else []
            few = rounds if history <= 100 else max(2, rounds // 2)
            turns[latency, history] = started.turns(
                history, few, times=3 if history <= 100 else 2, without=without
            )
        say(f"turns with a tool with {latency} ms")
        tools[latency] = started.turns(100, rounds, times=3, text=TOOL, without=[LIMITED])
    return simple, turns, tools


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder to write to")
    options = parser.parse_args()
    figures = measure(options.rounds)
    pictures = options.docs / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    plots.draw(figures.turns, figures.memories, pictures)
    page = performance_page.page(figures)
    (options.docs / "performance.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
