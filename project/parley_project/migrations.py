"""The migrations of a project's own: a new one, and whether those that it has make one line."""

from __future__ import annotations

import traceback
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from parley.repository.migration_faults import words_of
from parley_backend import backend
from parley_project.faults import ProjectFaults
from parley_project.file import section_of, shown
from parley_project.table import Faults, Table


def migrations_folder(file: Path) -> Path:
    """Return the folder that a project names for its migrations, which need not be there yet.

    Args:
        file: The project's `pyproject.toml`.

    Raises:
        ProjectFaults: It names none, or one outside of it.
    """
    faults = Faults(shown(file))
    table = Table(section_of(file) or {}, "tool.parley", faults)
    named = table.required_text("migrations", '"migrations"')
    folder = (file.parent / (named or "")).resolve()
    if named is not None and not folder.is_relative_to(file.parent.resolve()):
        table.fault("migrations", f"{named} is outside of the project")
    if faults.sentences:
        raise ProjectFaults(faults.sentences)
    return folder


def new_migration(folder: Path, message: str) -> Path:
    """Write a migration behind the newest of a folder, which is made where needed.

    Args:
        folder: Of the project's migrations.
        message: What it does; the file's name is made of it.

    Returns:
        The file, which does nothing yet.

    Raises:
        ProjectFaults: The migrations that are there are not one line.
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    newest_migration(folder)
    with _explained(folder):
        made = command.revision(_config(folder), message, version_path=str(folder))
    assert made is not None
    assert not isinstance(made, list)
    return Path(made.path)


def newest_migration(folder: Path) -> str | None:
    """Return the revision of the newest migration of a folder; None if it has none.

    Raises:
        ProjectFaults: They are not one line, such as when two were made at the same time, or one
            cannot be imported.
    """
    with _explained(folder):
        return ScriptDirectory.from_config(_config(folder)).get_current_head()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Have what is wrong with the migrations said as a fault of the project."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # two of one revision
            yield
    except (CommandError, UserWarning) as error:
        raise ProjectFaults([f"{folder}: {words_of(error)}"]) from error
    except Exception as error:
        # One that cannot be imported, for whatever reason; its own frame is the last in the folder.
        frames = traceback.extract_tb(error.__traceback__)
        own = [each for each in frames if Path(each.filename).is_relative_to(folder)]
        if not own and not isinstance(error, SyntaxError):
            raise
        place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(folder)
        raise ProjectFaults([f"{place}: {type(error).__name__}: {error}"]) from error


def _config(folder: Path) -> Config:
    quiet = Config(cmd_opts=Namespace(quiet=True))
    for name, value in {
        "script_location": str(backend("functions", "migrate", "migrations")),
        "version_locations": str(folder),
        "path_separator": "newline",
        # By the day, and no two of the same name.
        "file_template": "%(year)d_%(month).2d_%(day).2d_%(rev)s_%(slug)s",
    }.items():
        quiet.set_main_option(name, value.replace("%", "%%"))
    return quiet
