"""Which summary of a session's earlier turns counts, and who makes the next one.

It only adds, so that the code of the release before keeps working beside it: that shows no
summary, and what it forgets counts as forgotten here: no summary counts that ends before
`memory_from`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_MOMENT = postgresql.TIMESTAMP(timezone=True)
_COLUMNS = (
    *(("summary_id", sa.Uuid()), ("summary_made_at", _MOMENT)),
    *(("summarising_id", sa.Uuid()), ("summarising_until", _MOMENT)),
)
_COUNTS = (
    *(("summary_attempt", sa.Integer()), ("summary_to", sa.Integer())),
    *(("summarising_attempt", sa.Integer()), ("summarising_to", sa.Integer())),
    *(("summarising_failures", sa.Integer()), ("summary_calls", sa.Integer())),
    *(("summary_input_tokens", sa.BigInteger()), ("summary_output_tokens", sa.BigInteger())),
)


def upgrade() -> None:
    """Add the columns. Their defaults are kept in the catalogue: no row is written."""
    for name, kind in _COLUMNS:
        op.add_column("sessions", sa.Column(name, kind))
    for name, kind in _COUNTS:
        op.add_column("sessions", sa.Column(name, kind, server_default="0", nullable=False))
