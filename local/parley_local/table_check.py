"""Running a project's migrations on an empty database, and looking at the tables that they make."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from parley_backend import backend
from parley_local.function_variables import function_variables
from parley_local.migration import MigrationFailed, migrate
from parley_local.postgres import EmbeddedPostgres
from parley_local.template_file import read_template
from parley_project.environment import local_values, with_dotenv
from parley_project.faults import ProjectFaults
from parley_project.file import shown
from parley_project.generated import python_path
from parley_project.project import Project


def check_tables(project: Project, shell: Mapping[str, str]) -> list[str]:
    """Migrate a database of its own, which goes again; nothing for a project without tables.

    Args:
        project: Whose migrations, and whose words of what it keeps of users.
        shell: The environment of the process that somebody has started.

    Returns:
        A sentence for each of its tables that erasing a user would leave as it is.

    Raises:
        ProjectFaults: The migrations cannot be run, or make other tables than are spoken of.
        PostgresFailed: The embedded PostgreSQL cannot be started.
    """
    if project.migrations is None and project.manifest.user_data is None:
        return []
    own = local_values(project.manifest.environment, project.root, shell, all_required=False)
    with (
        TemporaryDirectory(prefix="parley-check-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", Path(folder) / "log") as postgres,
    ):
        variables = function_variables(
            with_dotenv(project.root, shell),
            data_dir=Path(folder),
            runtime_url=postgres.runtime_url(),
            jwks_url="",
            log_format="text",  # it is people who ask
        )
        path = python_path(project, Path(folder) / "project", variables.get("PYTHONPATH", ""))
        try:
            return asyncio.run(
                migrate(
                    read_template(backend("template.yaml")),
                    {**variables, **own, "PYTHONPATH": path},
                    owner_url=postgres.url(),
                )
            )
        except MigrationFailed as failed:
            raise ProjectFaults([f"{shown(project.file)}: [tool.parley]: {failed}"]) from failed
