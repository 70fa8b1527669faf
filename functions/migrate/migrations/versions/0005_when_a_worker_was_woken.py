"""When the recovery woke for a turn, so that it does not wake a worker for it each time.

It only adds, so that the code of the release before keeps working beside it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("turns", sa.Column("woken_at", postgresql.TIMESTAMP(timezone=True)))
