"""Texts and JSON that come piece by piece."""

from __future__ import annotations

import json
import random

import pytest

from parley.agents.pieces import Growing, Nesting


def test_nothing_of_a_text_is_lost_and_its_pieces_grow() -> None:
    text = Growing()

    given = [text.add("word") for _ in range(50_000)]
    given.append(text.rest())

    assert "".join(given) == "word" * 50_000
    assert given[:256] == ["word"] * 256
    assert sum(1 for piece in given if piece) < 5_000, "the SDK copies the text at each piece"


def test_a_short_text_is_given_on_at_once() -> None:
    text = Growing()

    assert [text.add(piece) for piece in ("Hel", "lo", "", "!")] == ["Hel", "lo", "", "!"]
    assert text.rest() == ""


def test_a_character_cut_in_two_is_whole() -> None:
    text = Growing()

    assert text.add("Hi \ud83d") + text.add("\ude00!") + text.rest() == "Hi \N{GRINNING FACE}!"


@pytest.mark.parametrize(
    "value", [{}, {"a": "}"}, {"a": '\\"}'}, {"a": [{"b": "{["}]}, {'"': "\\"}, {"a": "\\\\"}]
)
def test_an_object_is_closed_with_its_last_character(value: object) -> None:
    text = json.dumps(value)
    for seed in range(20):
        cuts = sorted(random.Random(seed).choices(range(len(text)), k=3))
        nesting = Nesting()
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            assert not nesting.is_closed
            nesting.add(text[start:end])
        assert nesting.is_closed
