"""Durations as they are typed: 90m, 12h, 7d."""

from __future__ import annotations

import re

import typer

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FORM = re.compile(r"([0-9]{1,9})([smhdw])")


def seconds_of(text: str) -> int:
    """Return a duration's seconds.

    Raises:
        typer.BadParameter: It is none.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no duration: a number and one of s, m, h, d or w, such as 90m, 12h or 7d."
        )
    return int(found[1]) * _SECONDS[found[2]]
