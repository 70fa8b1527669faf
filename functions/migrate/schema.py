"""Migrations: bring the database's schema to this code's revision."""

from __future__ import annotations

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text

from parley.errors import StoreUnavailable
from parley.repository.database import Database
from parley.repository.diagnosis import diagnose
from parley.repository.roles import arrange, try_logins

WAKING_SECONDS = 60.0
"""How long a database that cannot serve is tried: one that was asleep takes a quarter of a minute.
No try begins later. What does not pass by itself, such as a refused password, ends it at once."""

_PAUSES = (0.5, 1.0, 2.0, 5.0)
_LOCK = 7_275_695  # any number that only Parley's migrations use in this database


def config() -> Config:
    """Give Alembic's configuration; nothing is read from a file."""
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return configuration


def upgrade(
    database: Database,
    seconds: float = 280,
    *,
    waking_seconds: float | None = None,
    runtime: URL | None = None,
) -> str:
    """Migrate to the newest revision that this code knows, in one transaction.

    Safe when several run at once: the others wait on an advisory lock and find nothing to do.
    A schema of a revision that this code does not know was made by newer code, which a rollback
    has replaced by this; it is left as it is, since migrations only expand.

    Args:
        database: Which.
        seconds: How long it may take, waiting for locks and for a database that wakes included.
        waking_seconds: How long a database that cannot serve is tried; `WAKING_SECONDS` if None.
        runtime: As whom the functions log in; their roles are made what they must be, in the same
            transaction. None leaves roles alone.

    Returns:
        The revision that the database is at.

    Raises:
        StoreUnavailable: Postgres could not serve for so long.
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
            reached = _upgrade(database, max(1.0, end - time.monotonic()), runtime)
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


def _upgrade(database: Database, seconds: float, runtime: URL | None) -> str:
    configuration = config()
    script = ScriptDirectory.from_config(configuration)
    with database.long_transaction(seconds) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        current = _revision(connection)
        known = {revision.revision for revision in script.walk_revisions()}
        if current is not None and current not in known:
            return current
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        reached = _revision(connection)
        if runtime is not None:
            arrange(connection, runtime)
    if reached is None:
        raise RuntimeError("the migrations left no revision behind")
    return reached


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
