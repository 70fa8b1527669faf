"""Migrations: bring the database's schema to this code's revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from parley.repository.database import Database

_LOCK = 7_275_695  # any number that only Parley's migrations use in this database


def config() -> Config:
    """Give Alembic's configuration; nothing is read from a file."""
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return configuration


def upgrade(database: Database) -> str:
    """Migrate to the newest revision that this code knows, in one transaction.

    Safe when several run at once: the others wait on an advisory lock and find nothing to do.
    A schema of a revision that this code does not know was made by newer code, which a rollback
    has replaced by this; it is left as it is, since migrations only expand.

    Returns:
        The revision that the database is at.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    configuration = config()
    script = ScriptDirectory.from_config(configuration)
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        current = _revision(connection)
        known = {revision.revision for revision in script.walk_revisions()}
        if current is not None and current not in known:
            return current
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        reached = _revision(connection)
    if reached is None:
        raise RuntimeError("the migrations left no revision behind")
    return reached


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
