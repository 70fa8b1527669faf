"""What a first request takes after a restore, as a section of docs/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

KEPT = Path(__file__).parent / "restored.json"
HEADING = "## After a restore from a snapshot\n"
_NEXT = "\n## "

_TEXT = """
The processor's time for the first request of a process that SnapStart has restored, by `make
bench-restored`: the function is frozen when it has started and copied by a fork, and each copy
answers one request, and then another; medians of {rounds} copies, {machine}. Not
primed is a function as it starts without a snapshot. What is left of the difference to the second
request opens connections, to Postgres, AWS and the model. How functions are primed is told in
[the decision](decisions/primed-by-requests-of-nobodys.md).

"""


def section(measured: dict[str, Any]) -> str:
    """Return the section, in Markdown.

    Args:
        measured: What `bench.restored` measured.
    """
    lines = [
        "| first request | not primed | primed | of it | a second one |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for what, (cold, warm, later) in measured["requests"].items():
        ratio = f"{warm / cold:.2f}"
        lines.append(f"| {what} | {cold:.0f} ms | {warm:.0f} ms | {ratio} | {later:.0f} ms |")
    text = _TEXT.format(rounds=measured["rounds"], machine=measured["machine"])
    return HEADING + text + "\n".join(lines) + "\n"


def written() -> str:
    """Return the section of what was measured last."""
    return section(json.loads(KEPT.read_text()))


def replaced(page: str, text: str) -> str:
    """Return a page with its section of this kind replaced."""
    at = page.index(HEADING)
    end = page.find(_NEXT, at)
    return page[:at] + text + (page[end:] if end >= 0 else "")
