"""What edited arguments may be; which approval was asked for first; turns that wait are open too.

It adds, and makes one index anew that covers more, so that the code of the release before keeps
working beside it: what that code asks for has no schema, and is decided on as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, and indexes of approvals that are open and of turns that are, which are few."""
    op.add_column("approvals", sa.Column("arguments_schema", postgresql.JSONB()))
    op.create_index(
        "ix_approvals_asked",
        "approvals",
        ["created_at"],
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_turns_open_of_user_or_waiting",
        "turns",
        ["user_id"],
        postgresql_where=sa.text("status IN ('queued', 'running', 'waiting')"),
    )
    op.drop_index("ix_turns_open_of_user", "turns")
    op.execute("ALTER INDEX ix_turns_open_of_user_or_waiting RENAME TO ix_turns_open_of_user")
