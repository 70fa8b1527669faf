"""At its end, a run says which of its files took longest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import parley_testing

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_slowest_come_first_and_only_ten_are_shown(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(parley_testing.__path__[0]).parent))
    pytester.makeconftest(
        """
        import pytest
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.duration = float(item.path.stem.removeprefix("test_"))
            return report
        """
    )
    for number in range(12):
        pytester.makepyfile(**{f"test_{number}": "def test_it(): pass"})

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:schemathesis",
        "-p",
        "parley_testing.run.slowest_files",
    ]
    said = pytester.run(*command, "-p", "no:cacheprovider", "-n", workers).outlines

    start = next(number for number, line in enumerate(said) if "slowest files, of 12" in line)
    shown = [line.split() for line in said[start + 1 :] if line][:11]
    # Set up, called, torn down: three reports a test.
    assert shown[:2] == [["33.0", "s", "test_11.py"], ["30.0", "s", "test_10.py"]]
    assert shown[9] == ["6.0", "s", "test_2.py"]
    assert "passed" in " ".join(shown[10])
