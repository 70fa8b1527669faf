"""The streams that a user holds.

It only adds, so that the code of the release before keeps working beside it: what that streams is
not counted.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, whose default is kept in the catalogue."""
    op.add_column(
        "user_limits",
        sa.Column("streams", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
    )
