"""How much of what could be done any number of times is done: enough in `make test`, all at length.

As a pytest plugin it leaves out tests that are marked `at_length`, and of the crossings of cases
with stores, APIs and modes those that try nothing new; `tests/README.md` tells of both.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")

Table = dict[Hashable, dict[Hashable, pytest.Item]]
"""Tests by their case and their circumstances."""

AT_LENGTH = os.environ.get("PARLEY_TEST_AT_LENGTH") == "1"
CIRCUMSTANCES = frozenset(
    {
        *("which", "streamed", "carry", "mode", "store", "each_store", "stored"),
        *("environment", "place", "scheme"),
    }
)
"""Fixtures and parameters of where something happens: in which store or colours, over which API."""


def times(*, enough: int, full: int) -> int:
    """Return how often to do something.

    Args:
        enough: What `make test` does: enough to notice each rule that is taken out.
        full: What `make faults` does, which sets `PARLEY_TEST_AT_LENGTH=1`.
    """
    return full if AT_LENGTH else enough


def some(of: Sequence[T], *, one_in: int, first: int = 0) -> list[T]:
    """Return every so manieth of what there is; all of it at length.

    Args:
        of: Such as all points at which a process may be killed.
        one_in: How many there are for one that is taken.
        first: Which is the first: runs that begin elsewhere take others.
    """
    return list(of if AT_LENGTH else of[first % one_in :: one_in])


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the markers."""
    config.addinivalue_line(
        "markers",
        "at_length(why): a test that `make at-length` runs; `make test` has another for each of its"
        " rules, which `why` names",
    )
    config.addinivalue_line("markers", "whole: a test whose crossings are all run by `make test`")
    config.addinivalue_line(
        "markers",
        "in_turns: of the tests of one case in a file that have the same circumstances, `make test`"
        " tries each in one of them, and so each circumstance with some",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for `make at-length` only, unless it is named."""
    if AT_LENGTH:
        return
    named = {each.rpartition("/")[2] for each in config.args if "::" in each}
    left_out = {
        *(item for item in items if item.get_closest_marker("at_length")),
        *_nothing_new(items),
    }
    kept: list[pytest.Item] = []
    deselected: list[pytest.Item] = []
    for item in items:
        is_named = any(name in item.nodeid for name in named)
        (deselected if item in left_out and not is_named else kept).append(item)
    items[:] = kept
    if deselected:
        config.hook.pytest_deselected(items=deselected)


def _nothing_new(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """Return tests of which both the case and the circumstances are tried by others beside them."""
    functions: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if not item.get_closest_marker("whole"):
            functions[item.nodeid.partition("[")[0]].append(item)
    tables = {name: _table(function) for name, function in functions.items()}
    in_turns: defaultdict[tuple[str, frozenset[Hashable]], Table] = defaultdict(dict)
    for name, function in functions.items():
        first, *others = tables[name].values()
        if not others and function[0].get_closest_marker("in_turns"):
            in_turns[name.partition("::")[0], frozenset(first)][name] = first
    crossed = [*tables.items(), *((file, table) for (file, _), table in in_turns.items())]
    return {item for name, table in crossed for item in _left_out(name, table)}


def _table(function: Iterable[pytest.Item]) -> Table:
    """Return the tests of a function by their case, and then by their circumstances."""
    table: defaultdict[Hashable, dict[Hashable, pytest.Item]] = defaultdict(dict)
    for item in function:
        case, circumstances = _parts(item)
        table[case][circumstances] = item
    return table


def _left_out(name: str, table: Table) -> set[pytest.Item]:
    """Return what is left out of a table of crossings.

    Each case is kept once, and each circumstance, in which cases take turns: of eight cases in two
    modes over two APIs eight are kept and not 32, of one case all four.
    """
    everywhere = list(dict.fromkeys(found for row in table.values() for found in row))
    if len(everywhere) < 2 or len(table) < 2:
        return set()
    kept: set[pytest.Item] = set()
    missing = set(everywhere)
    # Where a table begins is chance, but always the same.
    turn = sum(map(ord, name))
    for place, row in enumerate(table.values()):
        first = (place + turn) % len(everywhere)
        order = [*everywhere[first:], *everywhere[:first]]
        there = [each for each in order if each in row]
        chosen = next((each for each in there if each in missing), there[0])
        missing.discard(chosen)
        kept.add(row[chosen])
    for circumstances in everywhere:
        if circumstances in missing:
            row = next(row for row in table.values() if circumstances in row)
            kept.add(row[circumstances])
    return {item for row in table.values() for item in row.values()} - kept


def _parts(item: pytest.Item) -> tuple[Hashable, Hashable]:
    """Return what tells a test's case, and its circumstances, from those of others."""
    callspec = getattr(item, "callspec", None)
    # All crossings of a parameter's value have the very same object; indices tell them apart.
    params = {} if callspec is None else callspec.params
    given = {name: id(value) for name, value in params.items()}
    case = tuple(sorted(each for each in given.items() if each[0] not in CIRCUMSTANCES))
    return case, tuple(sorted(each for each in given.items() if each[0] in CIRCUMSTANCES))
