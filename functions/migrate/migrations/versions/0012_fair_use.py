"""What one user may have: turns that are open, turns begun of late, metadata.

It only adds, so that the code of the release before keeps working beside it: what that begins is
not counted among the turns of the minute.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and the indexes by which a user's open turns and metadata are found."""
    op.create_table(
        "user_limits",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column(
            "begun_at",
            postgresql.ARRAY(postgresql.TIMESTAMP(timezone=True)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_limits")),
    )
    op.create_index(
        "ix_turns_open_of_user",
        "turns",
        ["user_id"],
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_sessions_metadata",
        "sessions",
        ["user_id"],
        postgresql_where=sa.text("metadata <> '{}'"),
    )
