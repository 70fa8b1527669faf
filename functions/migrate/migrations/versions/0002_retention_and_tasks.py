"""What retention goes by, keys of tasks, why a session is not active, and cancelling turns.

It only adds, so that the code of the release before keeps working beside it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add the columns, indexes and the table."""
    op.add_column("sessions", sa.Column("status_reason", sa.Text(), nullable=True))
    op.create_index(
        "ix_sessions_closed",
        "sessions",
        ["last_activity_at", "id"],
        postgresql_where=sa.text("status <> 'active'"),
    )
    op.create_index(
        "ix_sessions_empty",
        "sessions",
        ["last_activity_at", "id"],
        postgresql_where=sa.text("next_number = 1"),
    )

    op.add_column("memory_deletions", sa.Column("below", sa.Integer(), nullable=True))

    op.add_column("turns", sa.Column("cancel_requested_at", _TIME, nullable=True))

    op.add_column("tasks", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("fingerprint", postgresql.BYTEA(), nullable=True))
    op.create_index(
        "uq_tasks_idempotency_key", "tasks", ["user_id", "idempotency_key"], unique=True
    )

    op.create_table(
        "cleanup_progress",
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("work", name=op.f("pk_cleanup_progress")),
    )
