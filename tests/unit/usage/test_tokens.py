"""What servers tell of tokens: anything, of which only what can be meant is believed."""

from __future__ import annotations

from typing import Any

import pytest

from parley.usage.tokens import COUNT_MAX, Tokens, count


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (0, 0),
        (12, 12),
        (2.0, 2),
        (2.1, 3),
        (COUNT_MAX, COUNT_MAX),
        (None, None),
        (-1, None),
        (-0.5, None),
        (COUNT_MAX + 1, None),
        (10**30, None),
        (1e300, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("12", None),
        ({}, None),
    ],
)
def test_only_a_number_that_a_call_can_take_is_a_count(told: Any, known: int | None) -> None:
    """Unknown is None and never 0: a call for which nothing was told was not free."""
    assert count(told) == known


def test_what_nobody_told_stays_unknown() -> None:
    """Given a server that tells the input only, then the rest is not known."""
    tokens = Tokens.told(100, None)

    assert tokens == Tokens(input=100)
    assert not tokens.are_counted


def test_cached_tokens_that_are_counted_apart_are_part_of_the_input() -> None:
    """Given more cached tokens than input, as OpenRouter tells for some models, then both count."""
    assert Tokens.told(548, 435, cached=7000) == Tokens(7548, 7000, None, 435, None)


def test_reasoning_that_is_counted_apart_is_part_of_the_output() -> None:
    """Given 60 tokens of reasoning beside an output of 0, as proxies of Gemini tell."""
    assert Tokens.told(21, 0, reasoning=60, total=81) == Tokens(21, None, None, 60, 60)
    assert Tokens.told(21, 0, reasoning=60) == Tokens(21, None, None, 60, 60)


def test_output_that_only_the_total_tells_of_is_counted() -> None:
    """Given a total above its parts, as where thoughts are in it alone, then they were made."""
    assert Tokens.told(20, 424, total=1016) == Tokens(20, None, None, 996, None)
    assert Tokens.told(20, 424, total=444).output == 424
    assert Tokens.told(20, 424, total=3).output == 424
    assert Tokens.told(20, 424, total=10**20).output == 424
