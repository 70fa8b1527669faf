"""Which request made a turn: a support case names the request, as its problem document does.

It only adds, so that the code of the release before keeps working beside it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index of those turns that have it."""
    op.add_column("turns", sa.Column("request_id", sa.Text()))
    op.create_index(
        "ix_turns_request",
        "turns",
        ["request_id"],
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
