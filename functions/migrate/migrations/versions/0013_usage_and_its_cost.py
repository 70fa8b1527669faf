"""What calls of models took and cost: in each turn, and summed by day, user, agent and model.

It only adds, so that the code of the release before keeps working beside it: the turns that it ends
have no cost, and are in no sum.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, whose defaults are kept in the catalogue, and the table of the sums.

    Its rows are written anew all day long: there is room in each page for that.
    """
    for name in ("cached_tokens", "reasoning_tokens"):
        op.add_column("turns", sa.Column(name, sa.Integer()))
    op.add_column("turns", sa.Column("cost_nanodollars", sa.BigInteger()))
    for name in ("uncounted_calls", "unpriced_calls"):
        op.add_column("turns", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "daily_usage",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("cached_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("cost_nanodollars", sa.Numeric()),
        sa.Column("uncounted_calls", sa.BigInteger(), nullable=False),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", "agent", "model", name=op.f("pk_daily_usage")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_daily_usage_day", "daily_usage", ["day"])
