"""`parley deploy` in a project: what it says before anything is built, and of which stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from parley_project.starting import start_project
from parley_testing.waiting import HANG_SECONDS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    start_project(tmp_path / "my-desk", "blank")
    return tmp_path / "my-desk"


def deploy(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    left_out = ("AWS_", "DATABASE_", "OPENAI_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return subprocess.run(
        [sys.executable, "-m", "parley_cli.start", "deploy", *arguments],
        cwd=root,
        env={**own, "AWS_CONFIG_FILE": os.devnull, "AWS_REGION": "eu-west-1", **variables},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def test_a_secret_that_is_missing_is_named_before_anything_is_built(root: Path) -> None:
    done = deploy(root)

    assert done.returncode == 2
    assert done.stderr.startswith("parley deploy: DATABASE_SECRET_ARN is not given.")
    assert "  DATABASE_SECRET_ARN=arn:… OPENAI_SECRET_ARN=arn:… parley deploy\n" in done.stderr
    assert not (root / ".aws-sam").exists()


def test_a_projects_stack_has_its_own_name(root: Path) -> None:
    # One that cannot be built stops it behind what it says of the stack.
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:one"
    secrets = {"DATABASE_SECRET_ARN": arn, "OPENAI_SECRET_ARN": arn}
    (root / ".aws-sam").write_text("no folder")

    done = deploy(root, "--env", "prod", **secrets)

    assert done.returncode != 0
    assert "parley deploy: the stack my-desk-prod in eu-west-1" in done.stdout


def test_without_a_name_for_its_stack_nothing_is_deployed(root: Path) -> None:
    (root / "samconfig.toml").unlink()

    done = deploy(root)

    assert done.returncode == 1
    assert "has no samconfig.toml, which names the stack" in done.stderr


def test_an_agent_that_cannot_be_built_is_not_deployed(root: Path) -> None:
    (root / "my_desk" / "agent.py").write_text("import numpyy\n")

    done = deploy(root)

    assert (done.returncode, done.stdout) == (1, "")
    assert "No module named 'numpyy'" in done.stderr
