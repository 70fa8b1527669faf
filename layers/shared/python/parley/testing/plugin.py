"""The pytest plugin: the project of the tests, and the fixture `parley`.

It is loaded by every pytest of its environment, and imports nothing until there is something to do.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parley_project.faults import ProjectFaults
from parley_project.file import project_above

if TYPE_CHECKING:
    from parley.testing.postgres import Databases, Schema
    from parley.testing.workbench import Workbench


def pytest_configure(config: pytest.Config) -> None:
    """Make the project that the tests belong to known to this process.

    Its `pyproject.toml` with `[tool.parley]` is looked for from pytest's root folder upwards. Its
    code can be imported then, its agents have their names, and the variables that it lists have
    the values of `parley dev`, where they have any.

    Raises:
        pytest.UsageError: What is wrong with the project.
    """
    try:
        if (file := project_above(config.rootpath)) is not None:
            _serve(config, file.parent)
    except ProjectFaults as faults:
        raise pytest.UsageError(*faults.sentences) from None


def _serve(config: pytest.Config, root: Path) -> None:
    from parley import lean_imports
    from parley_project.environment import local_values
    from parley_project.generated import serve_here

    lean_imports.install()  # before an agent's module imports the SDK, as in a function
    folder = tempfile.TemporaryDirectory(prefix="parley-manifest-")
    config.add_cleanup(folder.cleanup)
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(sys, "path", [*sys.path])
    patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    project = serve_here(root, Path(folder.name))
    variables = project.manifest.environment
    values = local_values(variables, project.root, os.environ, all_required=False)
    for name, value in values.items():
        patch.setenv(name, value)


@pytest.fixture(scope="session")
def parley_schema() -> Schema:
    """Tables that no migration makes: SQL, or a function of a connection; override it."""
    return None


@pytest.fixture(scope="session")
def parley_databases(parley_schema: Schema) -> Iterator[Databases]:
    """One embedded PostgreSQL for the session, with the project's tables."""
    from parley.testing.processes import require_fork

    require_fork()  # before what follows imports what needs a Unix system
    from parley.errors import ProjectMigrationFault, UserDataFault
    from parley.testing.postgres import Databases, temporary_server

    with temporary_server() as server:
        try:
            made = Databases(server, parley_schema)
        except (ProjectMigrationFault, UserDataFault) as fault:
            pytest.fail(str(fault), pytrace=False)  # the sentence names the place
        yield made


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
