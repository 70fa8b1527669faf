"""How much of what the model is sent it was sent before, and what that costs.

    make bench-prompt-cache TURNS=300

A conversation is held with a model in the process: once with a window that loses its oldest turn
with each turn, and once with one that moves in steps. Of each request's bytes those count as
cached that the request before began with. The price is that of the input alone, in proportion to
one of which nothing is cached; a cached byte costs a tenth, as with most of today's models, or a
quarter. The lowest share is that of a turn at which the window did not move.

At last the whole conversation is priced for some models, by the table that Parley has, with the
model's answers: a window that loses a turn with each against one that moves in steps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import ExitStack
from itertools import pairwise

from bench.migrated import migrated

from parley.memory.sqlite import SqliteStore
from parley.memory.window import LOW_MARK_PERCENT
from parley.repository.database import Database
from parley.usage.prices import Prices
from parley.usage.tokens import Tokens
from parley_testing.models.scripted import Answer, Asked, call, say
from parley_testing.workbench import Workbench

SAID = "What was said here is about as long as people's messages are. " * 5
# The first turn that counts.
_FROM = 50
# A token has some four bytes.
_TOKEN_BYTES = 4
MODELS = ("gpt-6.1-sol", "gpt-6-luna", "gpt-5.4", "gpt-5-mini", "gpt-4.1", "gpt-4o")
ANSWERED = "An answer is longer than that, since models like to explain what they do. " * 12


def main() -> None:
    """Measure, and print a line for each kind of conversation and window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=300)
    turns = parser.parse_args().turns
    if turns < _FROM + 2:
        parser.error(f"--turns must be at least {_FROM + 2}: the first {_FROM} do not count")
    with ExitStack() as stack:
        made = stack.enter_context(migrated())
        database = Database(lambda: made.runtime_url, statement_timeout=30)
        stack.callback(database.close)
        print(f"{turns} turns            cached  lowest   price at 1/10  at 1/4   steps")
        held_by: dict[tuple[bool, int], list[str]] = {}
        for tools in (False, True):
            for low_mark in (100, LOW_MARK_PERCENT):
                store = SqliteStore(made.folder / f"{tools}-{low_mark}.db")
                bench = Workbench(
                    database, store, with_tools if tools else plain, memory_low_mark=low_mark
                )
                requests = held_by[tools, low_mark] = asyncio.run(held(bench, turns))
                store.close()
                what = "tools" if tools else "no tools"
                how = "each turn" if low_mark == 100 else "in steps"
                print(f"{what:9} {how:10} {told(requests)}")
    print("\nthe whole of it, in steps, of what it costs each turn    no tools   tools")
    for model in MODELS:
        plainly, with_calls = (
            paid(model, held_by[tools, LOW_MARK_PERCENT]) / paid(model, held_by[tools, 100])
            for tools in (False, True)
        )
        print(f"{model:54} {plainly:9.2f} {with_calls:7.2f}")


def plain(asked: Asked) -> Answer:
    """Answer at once."""
    return say(ANSWERED)


def with_tools(asked: Asked) -> Answer:
    """Call a tool first."""
    if asked.input[-1].get("type") == "function_call_output":
        return say(ANSWERED)
    return call("list_tasks", f"call_{len(asked.input)}")


async def held(bench: Workbench, turns: int) -> list[str]:
    """Hold a conversation, and return each turn's first request as JSON, oldest first."""
    session_id = bench.new_session()
    requests = []
    for number in range(turns):
        bench.model.asked.clear()
        await bench.send(session_id, f"{number}: {SAID}")
        requests.append(json.dumps(bench.model.asked[0].input))
    return requests


def told(requests: list[str]) -> str:
    """Say what came of it, from a turn on before which there is little to cache."""
    sizes, cached, steps = 0, 0, 0
    least = 1.0
    for before, now in pairwise(requests[_FROM:]):
        same = _same(before, now)
        sizes, cached = sizes + len(now), cached + same
        if same < len(before) // 2:
            steps += 1
        else:
            least = min(least, same / len(now))
    new = sizes - cached
    tenth, quarter = ((new + cached * part) / sizes for part in (0.1, 0.25))
    return f"{cached / sizes:6.1%} {least:7.1%} {tenth:12.2f} {quarter:9.2f} {steps:7}"


def paid(model: str, requests: list[str]) -> int:
    """Return what a conversation costs, in nanodollars, from the turn on that is told of."""
    cost = 0
    for before, now in pairwise(requests[_FROM:]):
        tokens = Tokens(
            input=len(now) // _TOKEN_BYTES,
            cached=_same(before, now) // _TOKEN_BYTES,
            output=len(ANSWERED) // _TOKEN_BYTES,
        )
        of_call = Prices().cost(model, tokens)
        assert of_call is not None, f"{model} has no price"
        cost += of_call
    return cost


def _same(before: str, now: str) -> int:
    pairs = zip(before, now, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), len(before))


if __name__ == "__main__":
    main()
