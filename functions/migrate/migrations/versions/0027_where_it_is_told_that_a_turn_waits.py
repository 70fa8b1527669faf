"""Where a turn's log tells that it waits, so that whoever lacks it puts it at the same place.

It only adds, so that the code of the release before keeps working beside it. A turn that waits
already has none: where its log lacks that, it is told behind the log's end.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which is null and so writes no row."""
    op.add_column("turns", sa.Column("waiting_sequence", sa.Integer(), nullable=True))
