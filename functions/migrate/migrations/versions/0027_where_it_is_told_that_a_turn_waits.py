"""Where a turn's log tells that it waits, so that whoever lacks it puts it at the same place.

It only adds, so that the code of the release before keeps working beside it. Of a turn that waits
already, and that nobody streams, there is no log: who asked was told its start, and then that it
waits. Where a log tells more, it counts for a lower number as it does without one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which is null and so writes no row but those of turns that wait."""
    op.add_column("turns", sa.Column("waiting_sequence", sa.Integer(), nullable=True))
    op.execute("UPDATE turns SET waiting_sequence = 2 WHERE status = 'waiting'")
