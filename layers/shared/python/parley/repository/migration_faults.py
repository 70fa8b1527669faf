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
_HINTS = (
    ("present more than once", "Give one of them a revision of its own."),
    ("is not present", "The down_revision is to be that of a migration in the folder, or None."),
    (
        "Could not determine revision id",
        "What is in the folder is a migration; keep other modules elsewhere.",
    ),
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
    why = words_of(error) or f"{diagnose(error).sentence}{_hint(error)}"
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


def words_of(error: BaseException) -> str | None:
    """Return what is wrong with migrations that are no line, and what to do; None if it is else.

    Args:
        error: What Alembic raised, or had warned of, while it read them.
    """
    if not isinstance(error, UserWarning) and not type(error).__module__.startswith("alembic."):
        return None
    said = str(error).partition(" (please see")[0].rstrip(".")
    return next((f"{said}. {hint}" for part, hint in _HINTS if part in said), said)


def _hint(error: BaseException) -> str:
    cause = driver_error(error)
    if not isinstance(cause, DuplicateTable):
        return ""
    return _TAKEN if any(f'"{name}"' in str(cause) for name in _NAMES_TAKEN) else ""
