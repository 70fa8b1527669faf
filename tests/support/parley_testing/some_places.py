"""Lets `survives` kill at every fourth place in the tests of a project under a pytest of its own.

Of a project's tests it is seen so that they run, and that they pass; what `survives` finds at which
place is looked at in `integration/workbench/test_survives.py`.
"""

from __future__ import annotations

from pathlib import Path

from parley_testing.at_length import AT_LENGTH

_PLUGIN = """
def pytest_collection_finish():
    from parley.testing import survival

    found = survival.places_to_kill
    survival.places_to_kill = lambda *passed: found(*passed)[::4]
"""


def at_some_places(project: Path) -> tuple[str, ...]:
    """Write a plugin into a project, and return what its pytest is given: nothing at length."""
    if AT_LENGTH:
        return ()
    (project / "killed_at_some.py").write_text(_PLUGIN)
    return "-p", "killed_at_some"
