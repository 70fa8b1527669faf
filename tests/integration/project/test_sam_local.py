"""`make sam-local` with a project: what its functions are given, in front of the database."""

from __future__ import annotations

import json
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley_backend import backend
from parley_local.sam_local import __main__ as sam_local
from parley_local.sam_local.bridge import Bridge
from parley_packages.project_layer import RUN_ITS_CODE
from parley_packages.project_template import project_template
from parley_project.project import Project, read_project
from parley_project.starting import start_project

_ENVIRONMENT = """
[tool.parley.environment]
SHOP_KEY = { secret = true }
SHOP_CITY = {}
SHOP_MODE = { default = "usual" }
"""


@pytest.fixture(autouse=True)
def _interrupted_as_before() -> Iterator[None]:
    """It leaves Ctrl-C to what it runs, and has this process to itself."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One with a table and variables of its own, built for `sam local`, which only writes."""
    start_project(tmp_path / "my-desk", "todo")
    file = tmp_path / "my-desk" / "pyproject.toml"
    file.write_text(file.read_text() + _ENVIRONMENT)
    (file.parent / ".env").write_text("SHOP_KEY=sk-of-the-file\nSHOP_CITY=Oslo\n")
    found = read_project(file)
    build = tmp_path / "build"
    project_template(found, backend("template.yaml"), build).rename(build / "template.yaml")
    sam = tmp_path / "sam"
    sam.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\n")
    sam.chmod(sam.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sam_local, "_sam", lambda: str(sam))
    monkeypatch.setattr(sam_local, "find_bridge", lambda _: Bridge("127.0.0.1", None, True))
    monkeypatch.setenv("PARLEY_PROJECT", str(file))
    monkeypatch.setenv("SHOP_CITY", "Bergen")
    return found


def test_its_variables_reach_its_functions_and_its_table_is_made(
    project: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A second of CPU, for which each worker that collects this file would wait.
    from samcli.local.lambdafn.env_vars import (  # type: ignore[import-untyped]
        EnvironmentVariables,
    )

    build = tmp_path / "build"

    status = sam_local.main(["--build", str(build), "--data-dir", str(tmp_path / "data")])

    said = capfd.readouterr()
    assert status == 0, said.err
    assert "'local', 'start-api'" in said.out
    functions = json.loads((build / "sam-local.json").read_text())["Resources"]
    given = json.loads((build / "sam-local-variables.json").read_text())["Parameters"]
    for name in RUN_ITS_CODE:
        declared = functions[name]["Properties"]["Environment"]["Variables"]
        found = EnvironmentVariables(name, 128, 3, "app.handler", {}, declared, {}, given).resolve()
        assert (found["SHOP_KEY"], found["SHOP_CITY"]) == ("sk-of-the-file", "Bergen")
        assert found["SHOP_MODE"] == "usual"
        assert found["SHOP_KEY_SECRET_ARN"] == ""


def test_a_variable_that_is_missing_is_said_before_anything_starts(
    project: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project.root / ".env").unlink()

    status = sam_local.main(["--build", str(tmp_path / "build"), "--data-dir", str(tmp_path / "d")])

    assert status == 1
    said = capfd.readouterr().err
    assert said.startswith("make sam-local: SHOP_KEY is not set, and [tool.parley.environment]")
    assert not (tmp_path / "d" / "postgres").exists()
