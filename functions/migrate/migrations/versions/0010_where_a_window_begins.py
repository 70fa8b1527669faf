"""Where the window begins that a session's agent is shown, so that it moves in steps.

It only adds, so that the code of the release before keeps working beside it: that shows whatever
its own window holds, and the next turn of this release begins at the step again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Its default is kept in the catalogue: no row is written."""
    op.add_column(
        "sessions", sa.Column("window_from", sa.Integer(), server_default="1", nullable=False)
    )
