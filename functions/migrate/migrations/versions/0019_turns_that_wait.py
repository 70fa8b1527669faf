"""Turns that wait for something, and the approvals that they wait for.

It only adds, so that the code of the release before keeps working beside it: a turn that waits has
the session's one place among those that run, so that code which knows of none such begins nothing
behind it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let turns wait, and make the table of what they ask for.

    Defaults are kept in the catalogue: no row of turns is written. The indexes are of open turns,
    which are few.
    """
    op.add_column("turns", sa.Column("waiting_for", sa.Text()))
    op.add_column("turns", sa.Column("awaited", sa.Integer(), server_default="0", nullable=False))
    op.add_column("turns", sa.Column("resumed_at", postgresql.TIMESTAMP(timezone=True)))
    op.drop_constraint("ck_turns_status", "turns")
    op.execute(
        "ALTER TABLE turns ADD CONSTRAINT ck_turns_status CHECK (status IN ('queued', 'running',"
        " 'waiting', 'completed', 'failed', 'cancelled')) NOT VALID"
    )
    op.execute("ALTER TABLE turns VALIDATE CONSTRAINT ck_turns_status")
    for name, columns, statuses, unique in (
        ("uq_turns_running", ["session_id"], "'running', 'waiting'", True),
        ("ix_turns_open", ["session_id", "number"], "'queued', 'running', 'waiting'", False),
    ):
        op.create_index(
            f"{name}_or_waiting",
            "turns",
            columns,
            unique=unique,
            postgresql_where=sa.text(f"status IN ({statuses})"),
        )
        op.drop_index(name, "turns")
        op.execute(f"ALTER INDEX {name}_or_waiting RENAME TO {name}")
    op.create_table(
        "approvals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("decider", sa.Text(), nullable=False),
        sa.Column("editable", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("reason", sa.Text()),
        sa.Column("edited_arguments", sa.Text()),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('open', 'approved', 'rejected', 'expired', 'cancelled')",
            name=op.f("ck_approvals_status"),
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name=op.f("fk_approvals_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("uq_approvals_call", "approvals", ["turn_id", "call_id"], unique=True)
    op.create_index("ix_approvals_of_user", "approvals", ["user_id", "id"])
    op.create_index(
        "ix_approvals_open",
        "approvals",
        ["expires_at"],
        postgresql_where=sa.text("status = 'open'"),
    )
