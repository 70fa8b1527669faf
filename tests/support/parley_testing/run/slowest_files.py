"""A pytest plugin that tells which files of a run were slowest, so that slow tests are noticed."""

from __future__ import annotations

from collections import defaultdict
from heapq import nlargest
from operator import itemgetter
from typing import Any

import pytest

SHOWN = 10


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the seconds of the slowest files, the slowest first, where there are several.

    A file's seconds are those of its tests and their fixtures. A fixture of the whole run counts
    for the file that was the first to need it.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    if len(seconds) > 1:
        terminalreporter.section(f"slowest files, of {len(seconds)}")
        for file, duration in nlargest(SHOWN, seconds.items(), key=itemgetter(1)):
            terminalreporter.write_line(f"{duration:8.1f} s  {file}")
