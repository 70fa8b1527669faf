"""What making a session's summaries has cost.

It only adds, so that the code of the release before keeps working beside it: what its summaries
cost is not known here.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Their defaults are kept in the catalogue: no row is written."""
    op.add_column("sessions", sa.Column("summary_cost_nanodollars", sa.BigInteger()))
    op.add_column(
        "sessions",
        sa.Column("summary_priced_calls", sa.Integer(), server_default="0", nullable=False),
    )
