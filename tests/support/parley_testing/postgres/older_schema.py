"""A schema as older versions of Parley left it: with the table of tasks that was the core's."""

from __future__ import annotations

from contextlib import closing
from importlib import import_module

from alembic import command

from parley.repository.database import Database
from parley_testing.api.handlers import load_function


def migrate_as_before(url: str) -> None:
    """Run Parley's migrations on an empty database, and none of a project's.

    Args:
        url: The database's, as its owner has it.
    """
    load_function("migrate")
    with closing(Database(lambda: url, statement_timeout=10, as_owner=True)) as owner:
        configuration = import_module("schema").config()
        with owner.long_transaction(60) as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
