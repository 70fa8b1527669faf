"""Lets `survives` kill at some of a turn's places only, where no test looks at the others.

What it finds at which place is looked at in `integration/workbench/test_survives.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from pathlib import Path

from parley.testing.processes import Point, places_to_kill
from parley_testing.run.at_length import AT_LENGTH


def some_of(places: Sequence[Point], ledgers: Collection[str]) -> list[Point]:
    """Return every twelfth place, and all around the work of tools.

    What a tool does twice, or does though its turn never knows of it, is seen at those: behind its
    work and before its output is recorded, inside its transaction, at its entries in ledgers.
    """
    around = ["before ToolCallRepository.record", *(f"after {name}" for name in ledgers)]
    around += (f"before {name}" for name in ledgers)
    return [
        place
        for number, place in enumerate(places)
        if number % 12 == 4 or place[0] in around or " transaction of " in place[0]
    ]


def chosen(passed: Sequence[str], ledgers: Collection[str]) -> list[Point]:
    """Return where `survives` kills: everywhere at length."""
    places = places_to_kill(passed, ledgers)
    return places if AT_LENGTH else some_of(places, ledgers)


_PLUGIN = f"""
{inspect.getsource(some_of)}

def pytest_collection_finish():
    from parley.testing import survival

    found = survival.places_to_kill
    survival.places_to_kill = lambda passed, ledgers: some_of(found(passed, ledgers), ledgers)
"""


def at_some_places(project: Path) -> tuple[str, ...]:
    """Have a project's tests, under a pytest of their own, kill there only.

    Returns:
        What its pytest is given, for a plugin that is written into the project; nothing at length.
    """
    if AT_LENGTH:
        return ()
    (project / "killed_at_some.py").write_text(f"from __future__ import annotations\n{_PLUGIN}")
    return "-p", "killed_at_some"
