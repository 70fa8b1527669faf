"""An outbox of escalations that somebody is to be told of, filled with the change of the session.

By a trigger, so that it is in the transaction of whatever escalates: a tool, a user's request, or a
statement of somebody's own. It only adds, so that the code of the release before keeps working
beside it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and what fills it.

    The function names the table's schema, so that no table of the same name elsewhere can be put
    under it. It runs as the owner: the run-time role has no right to the table.
    """
    op.create_table(
        "escalation_notices",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["sessions.id"],
            name=op.f("fk_escalation_notices_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_escalation_notices")),
    )
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    # Noted anew while it is being told of, it is told of again.
    op.execute(
        "CREATE FUNCTION parley_note_escalation() RETURNS trigger"
        " LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN"
        f" INSERT INTO {schema}.escalation_notices (session_id) VALUES (NEW.id)"
        " ON CONFLICT (session_id) DO UPDATE SET created_at = excluded.created_at;"
        " RETURN NULL; END$$"
    )
    op.execute(
        "CREATE TRIGGER parley_escalated AFTER UPDATE OF status ON sessions FOR EACH ROW"
        " WHEN (NEW.status = 'escalated' AND OLD.status <> 'escalated')"
        " EXECUTE FUNCTION parley_note_escalation()"
    )
