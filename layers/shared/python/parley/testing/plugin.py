"""The pytest plugin: the fixture `parley`, and what it stands on. Imports nothing until used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from parley.testing.postgres import Databases
    from parley.testing.workbench import Workbench
    from parley_project.project import Project


@pytest.fixture(scope="session")
def parley_schema() -> Any:
    """The project's own tables: SQL, or a function of a connection. Override it in a conftest."""
    return None


@pytest.fixture(scope="session")
def parley_project(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project | None]:
    """The project whose `pyproject.toml` has `[tool.parley]`: its agents are known by name.

    It is looked for from pytest's root folder upwards; None, and agents are given as objects, if
    there is none.
    """
    from parley_project.faults import ProjectFaults
    from parley_project.generated import serve_here
    from parley_project.project import find_project

    try:
        find_project(pytestconfig.rootpath)
    except ProjectFaults:
        yield None
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        yield serve_here(pytestconfig.rootpath, tmp_path_factory.mktemp("parley-manifest"))


@pytest.fixture(scope="session")
def parley_databases(parley_project: Project | None, parley_schema: Any) -> Iterator[Databases]:
    """One embedded PostgreSQL for the session, migrated."""
    from parley.testing.postgres import Databases, temporary_server

    with temporary_server() as server:
        yield Databases(server, parley_schema)


@pytest.fixture
def parley(parley_databases: Databases, tmp_path: Path) -> Iterator[Workbench]:
    """A backend of the test's own: see `parley.testing.Workbench`."""
    from parley.testing.workbench import Workbench

    folder = tmp_path / "parley"
    folder.mkdir()
    bench = Workbench(parley_databases, folder)
    try:
        yield bench
    finally:
        bench.close()
