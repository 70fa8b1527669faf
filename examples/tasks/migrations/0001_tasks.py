"""The table of tasks, and the keys of those that were deleted.

Parley's own first migrations made `tasks`, and kept such keys, before tasks were a project's: where
they are, they are taken over as they are.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Make what is not there."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text()),
        sa.Column("due_at", _TIME),
        sa.Column("completed_at", _TIME),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("fingerprint", postgresql.BYTEA()),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", _TIME, server_default=sa.func.now(), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_tasks_user", "tasks", ["user_id", "id"], if_not_exists=True)
    op.create_index(
        "uq_tasks_idempotency_key",
        "tasks",
        ["user_id", "idempotency_key"],
        unique=True,
        if_not_exists=True,
    )
    op.create_table(
        "deleted_task_keys",
        sa.Column("task_id", sa.Uuid(), primary_key=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("fingerprint", postgresql.BYTEA(), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.create_index(
        "uq_deleted_task_keys", "deleted_task_keys", ["user_id", "idempotency_key"], unique=True
    )
    op.execute(
        "INSERT INTO deleted_task_keys (task_id, user_id, idempotency_key, fingerprint, expires_at)"
        " SELECT gen_random_uuid(), user_id, idempotency_key, fingerprint, expires_at"
        " FROM idempotency_tombstones WHERE kind = 'task'"
    )
