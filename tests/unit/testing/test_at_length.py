"""Which crossings `make test` leaves out: every case is tried, and every circumstance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from parley_testing.run import at_length
from parley_testing.run.at_length import some

TESTS = """
import pytest
pytest_plugins = ["parley_testing.run.at_length"]

@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request): return request.param

@pytest.fixture(params=["waited for", "streamed"])
def streamed(request): return request.param

@pytest.mark.parametrize("case", range(6))
def test_crossed(case, store, streamed): print(f"<crossed {case} {store} {streamed}>")

@pytest.mark.parametrize("case", range(2))
def test_few(case, store, streamed): print(f"<few {case} {store} {streamed}>")

def test_one_case(store, streamed): print(f"<one 0 {store} {streamed}>")

@pytest.mark.parametrize("case", [{}, {}])
def test_alike(case, store): print(f"<alike {store}>")

@pytest.mark.whole
@pytest.mark.parametrize("case", range(2))
def test_whole(case, store): print(f"<whole {case} {store}>")

@pytest.mark.in_turns
def test_first(store): print(f"<first 0 {store}>")

@pytest.mark.in_turns
def test_second(store): print(f"<second 0 {store}>")

@pytest.mark.in_turns
def test_third(store): print(f"<third 0 {store}>")

@pytest.mark.in_turns
def test_alone(store, streamed): print(f"<alone 0 {store} {streamed}>")

@pytest.mark.at_length("another does")
def test_long(): print("<long>")
"""


def run(folder: Path, *arguments: str, full: bool = False) -> list[str]:
    """Run the tests and return what each says that it was."""
    (folder / "test_it.py").write_text(TESTS)
    support = str(Path(at_length.__file__).parents[2])
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        "PYTHONPATH": support,
        "PARLEY_TEST_AT_LENGTH": "1" if full else "",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-s",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:schemathesis",
            *arguments,
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [each.partition(">")[0] for each in done.stdout.split("<")[1:]]


def test_each_case_and_each_circumstance_is_kept_and_named_tests_are_kept_whole(
    tmp_path: Path,
) -> None:
    said = run(tmp_path)

    crossed = [each.split(" ", 2)[1:] for each in said if each.startswith("crossed")]
    assert sorted(case for case, _ in crossed) == [*"012345"]
    assert len({found for _, found in crossed}) == 4
    few = [each.split(" ", 2)[1:] for each in said if each.startswith("few")]
    assert {case for case, _ in few} == {*"01"}
    assert len({found for _, found in few}) == len(few) == 4
    assert len([each for each in said if each.startswith("one")]) == 4
    assert sorted(each for each in said if each.startswith("alike")) == [
        "alike dynamodb",
        "alike sqlite",
    ]
    assert len([each for each in said if each.startswith("whole")]) == 4
    in_turns = [each.split() for each in said if each.startswith(("first", "second", "third"))]
    assert [name for name, *_ in in_turns] == ["first", "second", "third"]
    assert {store for *_, store in in_turns} == {"sqlite", "dynamodb"}
    assert len([each for each in said if each.startswith("alone")]) == 4
    assert "long" not in said
    assert run(tmp_path, "test_it.py::test_long") == ["long"]


def test_at_length_all_are_run(tmp_path: Path) -> None:
    assert len(run(tmp_path, full=True)) == 6 * 4 + 2 * 4 + 4 + 2 * 2 + 2 * 2 + 3 * 2 + 4 + 1


def test_some_begin_where_they_are_told_to() -> None:
    points = list(range(7))

    taken = [some(points, one_in=3, first=first) for first in range(3)]

    assert taken == ([points] * 3 if at_length.AT_LENGTH else [[0, 3, 6], [1, 4], [2, 5]])
