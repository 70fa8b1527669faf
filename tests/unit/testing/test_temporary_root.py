"""What a run makes stays within reach of the other user that Postgres runs as."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


def test_a_pytest_that_a_test_starts_closes_no_directory_of_the_run(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path):\n    pass\n")
    shared = Path(tempfile.gettempdir()).resolve()
    ours = [path for path in (tmp_path, *tmp_path.parents) if shared in path.parents]
    assert tmp_path_factory.getbasetemp() in ours
    for path in ours:
        path.chmod(path.stat().st_mode | 0o001)

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    assert [path for path in ours if not path.stat().st_mode & 0o001] == []
