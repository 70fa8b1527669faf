"""Progress of long work, on standard error and only where somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from parley_cli.clean import clean_line
from parley_cli.screen import console


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show that work goes on; what is given is called with how far it has got."""
    if not sys.stderr.isatty():
        yield lambda told: None
        return
    # Nobody knows how much there is, so the bar only moves.
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=console(stderr=True),
        transient=True,
        # What is piped goes on going where it goes.
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda told: bar.update(task, description=f"{what}: {clean_line(told)}")


def counts_told(counts: Mapping[str, int]) -> str:
    """Return how many of each there are, for a line of progress."""
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "nothing"
