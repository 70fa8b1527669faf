"""Durations as they are typed."""

from __future__ import annotations

import pytest
import typer

from parley_cli.durations import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("12h", 43200), ("7d", 604800), ("30s", 30), ("1w", 604800), ("0s", 0)],
)
def test_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "12", "h", "1.5h", "-1h", "12 h", "1h30m", "9" * 10 + "d", "\N{ARABIC-INDIC DIGIT ONE}h"],
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 90m, 12h or 7d"):
        seconds_of(text)
