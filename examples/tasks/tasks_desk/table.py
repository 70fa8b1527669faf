"""The table of tasks, as SQLAlchemy's typed model, and a task as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Maps Python's types to Postgres's."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text,
        bytes: BYTEA,
        datetime: TIMESTAMP(timezone=True),
    }


class TaskRow(Base):
    """A task; the defaults of its times are the database's."""

    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    title: Mapped[str]
    notes: Mapped[str | None]
    due_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None]
    fingerprint: Mapped[bytes | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


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
    def of(cls, row: TaskRow) -> Self:
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
