"""The index of what vouches for memory holds the turns' ids as well.

A begin reads it and nothing else, and memory counts by the turn's id. The old one goes when the new
one is there; code of the release before reads the new one just as well.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index that holds more, then drop the one that held less."""
    op.create_index(
        "ix_turns_vouched",
        "turns",
        ["session_id", "number"],
        postgresql_where=sa.text("remembered"),
        postgresql_include=["attempt", "id"],
    )
    op.drop_index("ix_turns_remembered", "turns")
