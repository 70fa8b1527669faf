"""Alembic's entry: runs on the connection and for the versions that `schema.upgrade` hands it."""

from __future__ import annotations

from alembic import context

from parley.repository.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    target_metadata=METADATA,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
