"""How many rows a page holds."""

from __future__ import annotations

import pytest

from parley.repository.paging import PAGE_BYTES, fitting, written_bytes

SMALL = "x" * 100
WHOLE = "x" * (PAGE_BYTES - 50)
HALF = "x" * (PAGE_BYTES // 2)


def kept(*rows: str | None, limit: int = 100) -> int:
    """Return how many of the rows are kept."""
    return fitting(rows, limit, lambda row: [row])


@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 50, 51, 100])
def test_all_that_are_small(count: int) -> None:
    assert kept(*[SMALL] * count) == count


@pytest.mark.parametrize("limit", [1, 20, 25, 26])
def test_no_more_than_the_limit(limit: int) -> None:
    assert kept(*[SMALL] * 101, limit=limit) == limit


@pytest.mark.parametrize("before", [1, 7, 24, 25, 26, 49, 50, 60])
def test_those_before_one_that_does_not_fit(before: int) -> None:
    assert kept(*[SMALL] * before, WHOLE, SMALL) == before


@pytest.mark.parametrize("before", [0, 24, 25, 30])
def test_as_many_of_the_large_ones_as_fit(before: int) -> None:
    assert kept(*[None] * before, HALF, HALF, HALF) == before + 1


def test_the_first_however_large() -> None:
    assert kept("x" * PAGE_BYTES * 2, SMALL) == 1


def test_by_what_an_answer_takes_for_it() -> None:
    quoted = '"' * (PAGE_BYTES // 5)

    assert written_bytes(quoted) > PAGE_BYTES / 2
    assert kept(quoted, quoted) == 1
