"""`parley migrate`: the migrations of the migrate function, run on this machine."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from parley_backend import backend
from parley_cli.address import DATA_DIR, located
from parley_cli.clean import clean_line
from parley_cli.connection import DataDir
from parley_cli.errors import CommandFailed
from parley_cli.screen import waiting

if TYPE_CHECKING:
    from parley_project.project import Project


def migrate(
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            envvar="DATABASE_URL",
            help="The database, as postgresql://user:password@host/name; else parley dev's.",
        ),
    ] = None,
    runtime_url: Annotated[
        str | None,
        typer.Option(
            "--runtime-url",
            envvar="DATABASE_RUNTIME_URL",
            help="As whom the functions log in; that role is made, or made what it must be.",
        ),
    ] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Bring a database's schema up to date, and print its revision; safe to repeat.

    In a project's folder, or below it, its own migrations are run too. parley dev does it when it
    starts, and a deployment when it is made.
    """
    url = database_url or _local_database(located(data_dir))
    for each in (url, runtime_url or url):
        if not each.startswith(("postgresql://", "postgresql+psycopg://", "postgres://")):
            raise CommandFailed("The database's address must begin with postgresql://.")
    with waiting("Migrating …"):
        revision = _upgrade(url, runtime_url or None)
    typer.echo(revision)


def _local_database(data_dir: Path) -> str:
    """Return the database of the `parley dev` that runs on the directory.

    Raises:
        CommandFailed: None runs there.
    """
    try:
        from parley_local.data_directory import read_address
        from parley_local.postgres import DATABASE
    except ImportError as error:
        raise CommandFailed("Name a database with --database-url or DATABASE_URL.") from error
    try:
        running = read_address(data_dir)
        # The server writes there where its socket is, in the fifth line.
        socket_dir = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[4]
    except FileNotFoundError:
        running = None
    except (IndexError, OSError, ValueError) as error:
        raise CommandFailed(f"parley dev on {data_dir} cannot be found: {error}") from error
    if running is None:
        raise CommandFailed(
            f"parley dev is not running on {data_dir.absolute()}. Start it, which migrates too, or "
            "name a database with --database-url or DATABASE_URL."
        )
    return f"postgresql+psycopg://postgres@/{DATABASE}?host={quote(socket_dir, safe='')}"


def _upgrade(url: str, runtime_url: str | None) -> str:
    """Migrate and return the revision that the database is at.

    Raises:
        CommandFailed: It cannot be migrated.
    """
    try:
        from alembic.util.exc import CommandError
        from sqlalchemy.exc import SQLAlchemyError

        from parley.errors import ParleyError
        from parley.repository.address import parse_url
        from parley.repository.database import Database
        from parley.repository.diagnosis import diagnose
        from parley.user_tables import read_kept
    except ImportError as error:
        raise CommandFailed(f"What migrates is not installed: {error}.") from error
    schema, project = _schema(), _project_here()
    database = Database(lambda: url, statement_timeout=10, as_owner=True)
    try:
        runtime = None if runtime_url is None else parse_url(runtime_url)
        if project is not None:
            sys.path[:0] = [str(package.parent) for package in project.packages]
        revision: str = schema.upgrade(
            database,
            waking_seconds=0,
            runtime=runtime,
            project=None if project is None else project.migrations,
            kept=None if project is None else read_kept(project.manifest.user_data),
        )
    except (
        CommandError, ParleyError, RuntimeError, SQLAlchemyError, ValueError,
        ImportError, AttributeError,
    ) as error:  # fmt: skip
        why = clean_line(diagnose(error).sentence)
        raise CommandFailed(f"The migration failed: {why}") from error
    finally:
        database.close()
    return revision


def _project_here() -> Project | None:
    """Return the project that this is called in, if any.

    Raises:
        CommandFailed: The project cannot be read.
    """
    from parley_project.faults import ProjectFaults
    from parley_project.file import project_above
    from parley_project.project import read_project

    try:
        file = project_above(Path.cwd())
        return None if file is None else read_project(file)
    except ProjectFaults as faults:
        raise CommandFailed(str(faults)) from faults


def _schema() -> ModuleType:
    """Load the function's module; its folder is no package."""
    file = backend("functions", "migrate", "schema.py")
    spec = importlib.util.spec_from_file_location("parley_migrate_schema", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
