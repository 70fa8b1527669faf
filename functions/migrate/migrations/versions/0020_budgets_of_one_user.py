"""What an administrator lets one user spend, and when that user was near a budget last.

It only adds, so that the code of the release before keeps working beside it: that goes by the
settings alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, the column, whose default is kept in the catalogue, and an index."""
    op.create_table(
        "user_budgets",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("tokens_per_day", sa.BigInteger()),
        sa.Column("tokens_per_month", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_budgets")),
    )
    op.add_column(
        "user_limits",
        sa.Column("warned", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
    )
    op.create_index("ix_user_limits_day", "user_limits", ["day"])
