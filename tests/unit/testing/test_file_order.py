"""The longest files come first."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_testing.run import file_order

pytest_plugins = ["pytester"]


def test_each_file_that_comes_first_is_there_once() -> None:
    assert [name for name in file_order.FIRST if not (file_order.TESTS / name).is_file()] == []
    assert len(set(file_order.FIRST)) == len(file_order.FIRST)


def test_the_longest_come_first_and_all_others_in_their_order(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(**{f"test_{name}": "def test_it(): pass" for name in "abcd"})
    monkeypatch.setattr(file_order, "TESTS", pytester.path)
    monkeypatch.setattr(file_order, "FIRST", ("test_d.py", "test_b.py"))

    said = pytester.inline_run("-p", "parley_testing.run.file_order", "-p", "no:asyncio")

    passed, _, _ = said.listoutcomes()
    files = [Path(report.nodeid.partition("::")[0]).name for report in passed]
    assert files == [f"test_{name}.py" for name in "dbac"]
