"""Where a request's processor time goes, as a section of docs/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOW, BEFORE = HERE / "layers_now.json", HERE / "layers_before.json"
HEADING = "## Where the processor's time goes\n"
_NEXT = "\n## "
_COLUMNS = {
    "create": "`POST /sessions`",
    "get": "`GET /sessions/{id}`",
    "list": "`GET /sessions`",
    "send": "a turn",
    "send with a tool": "with a tool",
}
# Of no request as much is shown by itself.
_LEAST = 0.02

_TEXT = """\
Milliseconds of a request, at the commit `{commit}`, which was the first to measure them, and now;
by `make bench-profile`, which looks a thousand times a second at what the process's threads are in.
Each figure is the mean of its runs, {before} before and {now} now.
A turn is one after 100 others, with memory in SQLite. The log is on, as it is deployed, where the
tables above have it off. What calls a library is counted for what is called; Python's own modules,
but for those named, for who calls them.

"""

_CHANGED = """
What was done about it: SQLAlchemy has tables and no entities, so that no row becomes an object on
its way to a value; statements are made once, and those that stand as text say their columns; what a
transaction begins with goes to libpq in one packet with its first statement, where psycopg sent
each by itself and waited for `BEGIN`, and no connection is switched to autocommit and back; routes'
annotations are resolved once, where Powertools compiled their text for each request; pages are put
together in one pass, and their size is measured at once; tools go to the model's server unwalked,
and the history is copied once, in a third of the time. Parley's own part of a turn has
grown by that, and by what turns can do since. What is left of a request for a session is spread
over so many calls that none of them takes a tenth.

What a request waits for is Postgres. Half of what that takes to make a session goes into parsing
and planning the statement: it is prepared by nobody, since poolers lend a connection for one
transaction, where the peer's driver prepares all that it sends. A fifth sets what statements rely
on.
"""


def section(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the section, in Markdown.

    Args:
        before: What `bench.layers` measured before.
        now: What it measured last.
    """
    rows = [_row("**all**", [_pair(before, now, what, None) for what in _COLUMNS])]
    for layer in _layers(now, before):
        rows.append(_row(layer, [_pair(before, now, what, layer) for what in _COLUMNS]))
    head = _row("", list(_COLUMNS.values())) + "\n" + _row("---", ["---:"] * len(_COLUMNS))
    text = _TEXT.format(commit=before["commit"], before=before["runs"], now=now["runs"])
    return f"{HEADING}\n{text}{head}\n" + "\n".join(rows) + "\n" + _CHANGED


def replaced(page: str, text: str) -> str:
    """Return a page with its section of this kind replaced."""
    at = page.index(HEADING)
    end = page.index(_NEXT, at) + 1
    return page[:at] + text + "\n" + page[end:]


def written() -> str:
    """Return the section of what was measured last."""
    return section(json.loads(BEFORE.read_text()), json.loads(NOW.read_text()))


def _layers(*figures: dict[str, Any]) -> list[str]:
    most: dict[str, float] = {}
    for figure in figures:
        for what in _COLUMNS:
            for layer, took in figure[what]["layers"].items():
                most[layer] = max(most.get(layer, 0), took / figure[what]["cpu"])
    names = [layer for layer in most if most[layer] >= _LEAST]
    return sorted(names, key=lambda layer: -most[layer])


def _pair(before: dict[str, Any], now: dict[str, Any], what: str, layer: str | None) -> str:
    each = [
        figures[what]["cpu"] if layer is None else figures[what]["layers"].get(layer, 0)
        for figures in (before, now)
    ]
    digits = 1 if what.startswith("send") else 2
    told = " → ".join(f"{one:.{digits}f}" for one in each)
    return told if any(one * 10**digits >= 1 for one in each) else ""


def _row(name: str, cells: list[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"
