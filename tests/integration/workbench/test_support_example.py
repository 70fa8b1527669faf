"""The example with a person in the loop: its own tests, in a project as a user has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from parley_backend import backend
from parley_testing.some_places import at_some_places


def test_its_tests_pass_and_its_refunds_survive(tmp_path: Path) -> None:
    project = tmp_path / "support"
    shutil.copytree(backend("examples", "support"), project)

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q"),
            *("-p", "no:xdist", "-p", "no:schemathesis", "-p", "no:cacheprovider"),
            *at_some_places(project),
        ],
        cwd=project,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b7 passed", done.stdout), done.stdout
