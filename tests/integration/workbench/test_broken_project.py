"""Tests of a project whose tables cannot be made: each says so in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FILES = {
    "pyproject.toml": """
[tool.parley]
migrations = "migrations"
[tool.parley.agents]
desk = { target = "desk:agent", description = "Books tables." }
""",
    "desk.py": "from agents import Agent\nagent = Agent(name='desk')\n",
    "migrations/one.py": """
from alembic import op
revision, down_revision = "one", None
def upgrade():
    op.execute("ALTER TABLE nothing ADD x int")
""",
    "test_desk.py": "def test_one(parley): ...\ndef test_two(parley): ...\ndef test_three(): ...\n",
}


def test_a_migration_that_fails_is_told_without_a_traceback(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    hidden = ("PYTHONPATH", "PYTEST_ADDOPTS")  # a plain pytest in the folder

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q"),
            *("-p", "no:xdist", "-p", "no:schemathesis", "-p", "no:cacheprovider"),
        ],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in hidden},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "1 passed, 2 errors" in done.stdout, done.stdout + done.stderr
    told = "The project's own migration one failed at migrations/one.py:5: "
    assert done.stdout.count(told) >= 2
    assert "Traceback" not in done.stdout + done.stderr
    assert "sqlalchemy" not in done.stdout + done.stderr
