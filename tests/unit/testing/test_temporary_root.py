"""What a run makes stays within reach of the other user that Postgres runs as."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from parley_testing.run import temporary_root


def test_a_pytest_that_a_test_starts_closes_no_directory_of_the_run(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path):\n    pass\n")
    shared = Path(tempfile.gettempdir()).resolve()
    ours = [path for path in (tmp_path, *tmp_path.parents) if shared in path.parents]
    assert tmp_path_factory.getbasetemp() in ours
    for path in ours:
        path.chmod(path.stat().st_mode | 0o001)

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    assert [path for path in ours if not path.stat().st_mode & 0o001] == []


@pytest.mark.parametrize(
    ("enough", "given", "expected"), [(0, None, True), (1 << 60, None, False), (0, "own", False)]
)
def test_it_is_in_memory_if_there_is_room_and_nobody_says_where(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    enough: int,
    given: str | None,
    expected: bool,
) -> None:
    memory, own = tmp_path / "memory", tmp_path / "own"
    memory.mkdir()
    own.mkdir()
    monkeypatch.setattr(temporary_root, "IN_MEMORY", memory)
    monkeypatch.setattr(temporary_root, "ENOUGH", enough)
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", "")
    monkeypatch.setenv("TMPDIR", str(own))
    if given is None:
        monkeypatch.delenv("TMPDIR")
    config = SimpleNamespace(stash={}, option=SimpleNamespace(basetemp=None))

    temporary_root.pytest_configure(cast(pytest.Config, config))

    assert (Path(config.option.basetemp).parents[1] == memory) is expected
