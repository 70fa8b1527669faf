"""What each call of the model in a turn came to, for whoever looks at the turn.

It only adds, so that the code of the release before keeps working beside it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("turns", sa.Column("model_steps", postgresql.JSONB()))
