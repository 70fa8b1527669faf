"""Migrations: bring the database's schema to this code's revision, and to the project's own."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text

from parley.errors import ProjectMigrationFault, StoreUnavailable
from parley.manifest import manifest
from parley.repository import project_tables
from parley.repository.database import Database, translated
from parley.repository.diagnosis import diagnose
from parley.repository.migration_faults import LEFT_BEHIND, migration_fault
from parley.repository.roles import arrange, try_logins
from parley.repository.row_security import PROJECT_VERSIONS
from parley.repository.scope import SERVICE
from parley.user_tables import Kept, tables_named, user_tables

WAKING_SECONDS = 60.0
"""How long a database that cannot serve is tried: one that was asleep takes a quarter of a minute.
No try begins later. What does not pass by itself, such as a refused password, ends it at once."""

_PAUSES = (0.5, 1.0, 2.0, 5.0)
_LOCK = 7_275_695  # any number that only Parley's migrations use in this database
_VERSIONS = "alembic_version"


def config(project: Path | None = None) -> Config:
    """Return Alembic's configuration; nothing is read from a file.

    Args:
        project: The folder of a project's migrations, which have a table of versions of their own:
            neither line of revisions waits for the other. None for Parley's.
    """
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    configuration.attributes["version_table"] = _VERSIONS if project is None else PROJECT_VERSIONS
    if project is not None:
        configuration.set_main_option("path_separator", "newline")
        configuration.set_main_option("version_locations", str(project).replace("%", "%%"))
    return configuration


def project_migrations() -> Path | None:
    """Return the folder of the project's migrations; None where it has none.

    Raises:
        MissingManifest: No project was given to this process.
    """
    folder = manifest().migrations
    return None if folder is None else Path(__file__).parent / folder


def upgrade(
    database: Database,
    seconds: float = 280,
    *,
    waking_seconds: float | None = None,
    runtime: URL | None = None,
    project: Path | None = None,
    kept: Sequence[Kept] | None = None,
) -> str:
    """Migrate to the newest revision that this code knows, in one transaction.

    Safe when several run at once: the others wait on an advisory lock and find nothing to do.
    A schema of a revision that this code does not know was made by newer code, which a rollback
    has replaced by this; it is left as it is, since migrations only expand. The project's own
    migrations come behind Parley's, in the same transaction, by the same rules.

    Args:
        database: Which.
        seconds: How long it may take, waiting for locks and for a database that wakes included.
        waking_seconds: How long a database that cannot serve is tried; `WAKING_SECONDS` if None.
        runtime: As whom the functions log in; their roles are made what they must be, in the same
            transaction. None leaves roles alone.
        project: The folder of the project's migrations. None leaves its tables alone.
        kept: What the project says that it keeps of users: the run-time role is bound to its own
            user's rows there. None leaves the project's tables as they are bound.

    Returns:
        The revision of Parley's that the database is at.

    Raises:
        StoreUnavailable: Postgres could not serve for so long.
        ProjectMigrationFault: One of the project's cannot be run; nothing was changed.
        UserDataFault: What it says that it keeps of users is not there; nothing was changed.
        RuntimeRoleFault: The schema is as it was, and the functions' logins cannot be made; or it
            is up to date, and they cannot be used or lead to another database.
    """
    end = time.monotonic() + seconds
    last_try = time.monotonic() + min(
        seconds, WAKING_SECONDS if waking_seconds is None else waking_seconds
    )
    tries = 0
    while True:
        try:
            reached = _upgrade(database, max(1.0, end - time.monotonic()), runtime, project, kept)
            break
        except StoreUnavailable as error:
            pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
            if diagnose(error).lasts or time.monotonic() + pause > last_try:
                raise
        # In one transaction, so what did not answer has left nothing, or all.
        time.sleep(pause)
        tries += 1
    if runtime is not None:
        try_logins(runtime, database)
    return reached


def what_erasing_leaves(database: Database, kept: Sequence[Kept]) -> list[str]:
    """Return a sentence for each table of the project's that erasing a user would leave.

    Args:
        database: Which, as its owner, with its schema.
        kept: What the project says that it keeps of users.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    with database.transaction(SERVICE) as connection:
        return project_tables.what_erasing_leaves(
            connection, tables_named(kept), unless_empty=LEFT_BEHIND
        )


def _upgrade(
    database: Database,
    seconds: float,
    runtime: URL | None,
    project: Path | None,
    kept: Sequence[Kept] | None,
) -> str:
    with database.long_transaction(seconds) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        new = _revision(connection, _VERSIONS) is None
        reached, known = _advance(connection, config())
        if new:
            # No code has read it here, and a project may want the name.
            connection.execute(text(f"DROP TABLE {LEFT_BEHIND}"))
        if project is not None:
            _advance_project(connection, project)
        tables = None if kept is None else user_tables(kept)
        project_tables.check_tables(connection, tables or ())
        # What this code says of rights is of another schema than that of newer code.
        if runtime is not None and known:
            arrange(connection, runtime, tables)
    if reached is None:
        raise RuntimeError("the migrations left no revision behind")
    return reached


def _advance(connection: Connection, configuration: Config) -> tuple[str | None, bool]:
    """Go to the newest revision of one line; return the one reached, and whether it is known."""
    script = ScriptDirectory.from_config(configuration)
    table = configuration.attributes["version_table"]
    current = _revision(connection, table)
    known = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in known:
        return current, False
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
    return _revision(connection, table), True


def _advance_project(connection: Connection, folder: Path) -> None:
    try:
        with translated():
            _see_one_line(config(folder))
            _advance(connection, config(folder))
    except (ProjectMigrationFault, StoreUnavailable):
        raise
    except Exception as error:
        raise migration_fault(error, folder) from error


def _see_one_line(configuration: Config) -> None:
    """Read migrations, each of which has to come behind one other.

    Raises:
        ProjectMigrationFault: Two are the newest.
        UserWarning: Two are of one revision, or one comes behind a revision that is not there.
    """
    script = ScriptDirectory.from_config(configuration)
    with warnings.catch_warnings():
        # Alembic only warns of what makes it leave one of them out.
        of_one = "Revision .* is (not present|present more than once)"
        warnings.filterwarnings("error", of_one, UserWarning)
        newest = script.get_revisions(script.get_heads())
    if len(newest) > 1:
        files = " and ".join(Path(each.path).name for each in newest)
        last = newest[-1]
        raise ProjectMigrationFault(
            f"The project's own migrations failed: Multiple head revisions: {files} are both the"
            f" newest. Let one come behind the other, by its down_revision, such as"
            f" {newest[0].revision!r} in {Path(last.path).name}."
        )


def _revision(connection: Connection, table: str) -> str | None:
    return MigrationContext.configure(
        connection, opts={"version_table": table}
    ).get_current_revision()
