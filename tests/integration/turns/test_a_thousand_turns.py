"""A conversation of a thousand turns: the agent is shown the last hundred, and a summary."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from parley_testing.models.notes import facts_in, keeping_facts
from parley_testing.models.scripted import Asked
from parley_testing.workbench import SUMMARIES, Workbench

TURNS = 1_000
FACTS = ("fact-3", "fact-77", f"fact-{TURNS // 2 + 1}")


def said(number: int) -> str:
    """What the user says: as long as people's messages are, some with a fact."""
    fact = f"fact-{number}"
    told = f" Mind this: {fact}." if fact in FACTS else ""
    return f"message {number}: " + "something that was on my mind today. " * 3 + told


def request(asked: Asked) -> str:
    return json.dumps(asked.input).removesuffix("]")


def common(one: str, other: str) -> int:
    """Count the characters with which both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


@pytest.mark.at_length(
    "turns/test_summaries.py: what is before a window that moved is told, from summary to summary;"
    " turns/dialects/test_prompt_prefix.py: a request begins with the one before"
)
async def test_what_was_said_at_first_is_in_the_last_request(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(keeping_facts, summarised=True)
    session_id = bench.new_session()
    steps: set[int] = set()
    for number in range(1, TURNS + 1):
        await bench.send(session_id, said(number))
        while await bench.summarise(session_id):
            # The window has moved in this turn, and the next one is shown the summary.
            steps |= {number, number + 1}

    asked = [each for each in bench.model.asked if each.model != SUMMARIES]
    assert len(asked) == TURNS
    last = json.dumps(asked[-1].input)
    assert facts_in(last) == list(FACTS)
    assert len(asked[-1].input) <= 202
    assert facts_in(asked[-1].input[0]["content"]) == list(FACTS), "not from the window"
    # A step every forty turns at most, or fewer: the window falls from 200 items to 120.
    assert len(steps) <= 2 * TURNS // 40
    shares = {
        number: common(request(before), request(now)) / len(request(now))
        for number, (before, now) in enumerate(itertools.pairwise(asked), 2)
    }
    least = {
        number: share for number, share in shares.items() if number not in steps and number > 50
    }
    assert min(least.values()) >= 0.95
    assert bench.watched.calls.count("finish") == TURNS + len(steps) // 2
