"""Indexes for what was sought in whole tables: everybody's sessions, the oldest of the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("ix_sessions_all_activity", "sessions", ["last_activity_at", "id"])
    op.create_index(
        "ix_sessions_escalated",
        "sessions",
        ["last_activity_at", "id"],
        postgresql_where=sa.text("status = 'escalated'"),
    )
    op.create_index("ix_memory_deletions_noted", "memory_deletions", ["created_at"])
