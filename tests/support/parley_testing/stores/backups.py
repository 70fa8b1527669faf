"""Backups of both stores, restored while the other store knows what came after."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import psycopg

_OF_TURNS: LiteralString = "turn_id IN (SELECT id FROM turns WHERE user_id = %(user)s)"
_OWN: LiteralString = "user_id = %(user)s"
# In an order in which rows may be inserted.
_TABLES: tuple[tuple[LiteralString, LiteralString], ...] = (
    ("sessions", _OWN),
    ("turns", _OWN),
    ("messages", _OF_TURNS),
    ("tool_calls", _OF_TURNS),
    ("approvals", _OF_TURNS),
    ("tasks", _OWN),
    ("deleted_task_keys", _OWN),
    ("idempotency_tombstones", _OWN),
    ("memory_deletions", "starts_with(conversation, 'user_' || %(user)s || '_conv_')"),
)


class PostgresBackup:
    """All rows of a user as they are now."""

    def __init__(self, sql: psycopg.Connection, user: str) -> None:
        self._user = {"user": user}
        self._rows = {
            table: sql.execute(
                f"SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]')::text FROM {table} t WHERE {own}",
                self._user,
            ).fetchall()[0][0]
            for table, own in _TABLES
        }

    def restore(self, sql: psycopg.Connection) -> None:
        """Have Postgres hold these rows of the user, and no others."""
        with sql.transaction():
            for table, own in reversed(_TABLES):
                sql.execute(f"DELETE FROM {table} WHERE {own}", self._user)
            # As `pg_restore --disable-triggers` does: what was written then is not done again.
            sql.execute("SET LOCAL session_replication_role = replica")
            for table, _ in _TABLES:
                sql.execute(
                    f"INSERT INTO {table}"
                    f" SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)",
                    (self._rows[table],),
                )


class MemoryBackup:
    """The memory file as it is now."""

    def __init__(self, memory: Path, backup: Path) -> None:
        self._memory, self._backup = memory, backup
        backup.unlink(missing_ok=True)
        _copy(memory, backup)

    def restore(self) -> None:
        """Have the file hold this, whoever has it open."""
        _copy(self._backup, self._memory)


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
