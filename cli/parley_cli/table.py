"""Tables on a terminal, in the form that its width has room for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from parley_cli.clean import clean_line

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2
_LONGEST_WORD = 24
"""A word that has more characters may be broken."""


def console(*, stderr: bool = False) -> Console:
    """Return what draws on a terminal; nothing that it prints is read as markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def show_rows(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows below their headings.

    Ids, times and words are never broken: an id in two pieces cannot be copied. Where there is no
    room for a line a row, the ids stand in lines of their own; and where there is none for that
    either, each cell does.
    """
    screen = console()
    ids = {
        place for place in range(len(headings)) if any(isinstance(row[place], UUID) for row in rows)
    }
    others = [place for place in range(len(headings)) if place not in ids]
    if _needed(headings, rows, range(len(headings))) <= screen.width:
        _lines(screen, headings, rows, range(len(headings)))
    elif ids and len(others) > 1 and _needed(headings, rows, others) <= screen.width:
        _lines(screen, headings, rows, others, below=sorted(ids))
    else:
        _blocks(screen, headings, rows)


def _needed(
    headings: Sequence[str], rows: Sequence[Sequence[object]], places: Sequence[int]
) -> int:
    """Return how many characters a line a row needs, with text in as many lines as may be."""
    return sum(_least(headings, rows, place) for place in places) + _GAP * (len(places) - 1)


def _least(headings: Sequence[str], rows: Sequence[Sequence[object]], place: int) -> int:
    from rich.cells import cell_len

    parts = [part for row in rows for part in _whole(row[place])]
    return max(cell_len(part) for part in [headings[place], *parts])


def _whole(cell: object) -> list[str]:
    """Return the parts of a cell that are not to be broken."""
    shown = clean_line(told(cell))
    if not isinstance(cell, str):
        return [shown]
    return [word[:_LONGEST_WORD] for word in shown.split()]


def _lines(
    screen: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    places: Sequence[int],
    below: Sequence[int] = (),
) -> None:
    """Print a line a row, text in as many as its column needs; and what stands below each."""
    from rich.text import Text

    widths = _widths(screen, headings, rows, places)
    if any(headings):
        _print(screen, [headings[place] for place in places], widths, style="bold")
    for row in rows:
        _print(screen, [clean_line(told(row[place])) for place in places], widths)
        for place in below:
            screen.print(Text(f"  {clean_line(told(row[place]))}", style="dim"), no_wrap=True)


def _widths(
    screen: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    places: Sequence[int],
) -> list[int]:
    from rich.cells import cell_len

    least = [_least(headings, rows, place) for place in places]
    widths = [
        max([cell_len(headings[place]), *(cell_len(clean_line(told(row[place]))) for row in rows)])
        for place in places
    ]
    over = sum(widths) + _GAP * (len(places) - 1) - screen.width
    while over > 0:
        spare = [width - own for width, own in zip(widths, least, strict=True)]
        widest = spare.index(max(spare))
        if spare[widest] <= 0:
            break
        widths[widest] -= 1
        over -= 1
    return widths


def _print(screen: Console, cells: Sequence[str], widths: Sequence[int], style: str = "") -> None:
    from rich.cells import set_cell_size
    from rich.text import Text

    wrapped = [
        [line.plain.rstrip() for line in Text(cell).wrap(screen, max(1, width))]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for number in range(max(map(len, wrapped))):
        parts = [
            set_cell_size(lines[number] if number < len(lines) else "", width)
            for lines, width in zip(wrapped, widths, strict=True)
        ]
        line = (" " * _GAP).join(parts).rstrip()
        screen.print(Text(line, style=style), no_wrap=True, overflow="ignore", crop=False)


def _blocks(screen: Console, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.text import Text

    for number, row in enumerate(rows):
        if number and any(headings):
            screen.print()
        for heading, cell in zip(headings, row, strict=True):
            shown = clean_line(told(cell))
            if not any(headings):  # a name and its value
                screen.print(Text(shown if cell is row[0] else f"  {shown}"))
            else:
                screen.print(Text.assemble((f"{heading} ", "bold"), shown))


def told(cell: object) -> str:
    """Return a value as people read it: times are theirs."""
    match cell:
        case None:
            return "–"  # noqa: RUF001
        case datetime():
            return cell.astimezone().strftime("%Y-%m-%d %H:%M")
        case float():
            return f"{cell:,.1f}"
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case _:
            return str(cell)
