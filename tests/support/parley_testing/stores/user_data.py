"""All that both stores hold of one user."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg

_OF_USER = {
    "sessions": "user_id = %(user)s",
    "turns": "user_id = %(user)s",
    "messages": "turn_id IN (SELECT id FROM turns WHERE user_id = %(user)s)",
    "tool_calls": "turn_id IN (SELECT id FROM turns WHERE user_id = %(user)s)",
    "approvals": "user_id = %(user)s",
    "tasks": "user_id = %(user)s",
    "user_limits": "user_id = %(user)s",
    "user_budgets": "user_id = %(user)s",
    "deleted_task_keys": "user_id = %(user)s",
    "memory_deletions": "conversation LIKE 'user_' || %(user)s || '_conv_%%'",
    "escalation_notices": "session_id IN (SELECT id FROM sessions WHERE user_id = %(user)s)",
    "idempotency_tombstones": "user_id = %(user)s",
    "daily_usage": "user_id = %(user)s",
    "cleanup_progress": "false",
    "deployment_spending": "false",  # sums of all users
    "summary_places": "false",  # of all sessions, and names none
    "audit_records": "false",  # they are the deployment's, and say what was done to the user
}


def rows_of(sql: psycopg.Connection, user: str) -> dict[str, list[str]]:
    """Return the user's rows in every table, each as text."""
    there = sql.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    tables = {row[0] for row in there} - {"alembic_version", "parley_project_version"}
    assert tables == _OF_USER.keys(), "say which rows of the new table are a user's"
    return {
        table: sorted(
            row[0]
            for row in sql.execute(
                f"SELECT to_jsonb(t)::text FROM {table} t WHERE {condition}",
                {"user": user},
            )
        )
        for table, condition in _OF_USER.items()
    }


def memory_of(path: Path, user: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the SQLite file holds of the user's conversations, by table."""
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            table: connection.execute(
                f"SELECT * FROM {table} WHERE conversation LIKE ? ORDER BY 1, 2, 3",
                [f"user_{user}_conv_%"],
            ).fetchall()
            for (table,) in tables.fetchall()
        }
    finally:
        connection.close()
