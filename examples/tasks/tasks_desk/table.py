"""The table of tasks, and a task as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Column, MetaData, Row, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

# The defaults of its times are the database's. SQLAlchemy's ORM would serve as well; to import it
# takes a tenth of what starting a function without agents takes.
TASKS = Table(
    "tasks",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Text),
    Column("title", Text),
    Column("notes", Text),
    Column("due_at", TIMESTAMP(timezone=True)),
    Column("completed_at", TIMESTAMP(timezone=True)),
    Column("idempotency_key", Text),
    Column("fingerprint", BYTEA),
    Column("created_at", TIMESTAMP(timezone=True)),
    Column("updated_at", TIMESTAMP(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task, as the user sees it."""

    id: UUID
    title: str
    notes: str | None
    due_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Row[*tuple[Any, ...]]) -> Self:
        """Make the value of a row."""
        return cls(
            id=row.id,
            title=row.title,
            notes=row.notes,
            due_at=row.due_at,
            completed_at=row.completed_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
