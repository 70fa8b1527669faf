"""Why a migration of a project's own cannot be run, in a sentence for whoever wrote it.

What led there, Alembic and SQLAlchemy fill screens with, and none of it is the project's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb

from psycopg.errors import DuplicateTable

from parley.errors import ProjectMigrationFault
from parley.faults import chain
from parley.repository.diagnosis import diagnose, driver_error

LEFT_BEHIND = "tasks"
"""Made by Parley's first migrations, and of a project's since: empty, it is nobody's."""

_NAMES_TAKEN = (LEFT_BEHIND, "pk_tasks", "ix_tasks_user", "uq_tasks_idempotency_key")
_TAKEN = (
    f" An older version of Parley made the table {LEFT_BEHIND} in this database, and reads it no"
    " more. If its rows are not wanted, begin the migration with"
    f' op.execute("DROP TABLE IF EXISTS {LEFT_BEHIND}"); to keep them, make only what is missing,'
    " with if_not_exists=True."
)


def migration_fault(error: BaseException, folder: Path) -> ProjectMigrationFault:
    """Return what failed as the project's fault: which migration, where in it, and why.

    Args:
        error: What running or reading the migrations raised.
        folder: Where they are.
    """
    places = list(_places(error, folder))
    revision = next((f" {named}" for named, _ in places if named), "")
    at = f" at {places[0][1]}" if places else ""
    many = "s" if not revision else ""
    why = f"{diagnose(error).sentence}{_hint(error)}"
    return ProjectMigrationFault(f"The project's own migration{many}{revision} failed{at}: {why}")


def _places(error: BaseException, folder: Path) -> Iterator[tuple[str | None, str]]:
    """Yield the revision and the line of each place in the folder, the innermost first."""
    for each in chain(error):
        if isinstance(each, SyntaxError) and (place := _within(folder, each.filename, each.lineno)):
            yield None, place
        for frame, line in reversed(list(walk_tb(each.__traceback__))):
            if place := _within(folder, frame.f_code.co_filename, line):
                named = frame.f_globals.get("revision")
                yield (named if isinstance(named, str) else None), place


def _within(folder: Path, file: str | None, line: int | None) -> str | None:
    if file is None or not Path(file).is_relative_to(folder):
        return None
    return f"{Path(file).relative_to(folder.parent)}:{line}"


def _hint(error: BaseException) -> str:
    cause = driver_error(error)
    if not isinstance(cause, DuplicateTable):
        return ""
    return _TAKEN if any(f'"{name}"' in str(cause) for name in _NAMES_TAKEN) else ""
