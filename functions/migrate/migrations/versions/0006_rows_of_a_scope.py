"""What row-level security asks: whose a session is, and whether a turn is of the scope's user.

Two functions; and the index of what vouches for memory holds the user as well, whom a policy looks
at, so that a begin still reads it and nothing else. The roles, their grants and the policies are
`migrate`'s own work behind the migrations, since their names are each deployment's.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the functions, then the index that holds more, and drop the one that held less.

    The functions name the tables' schema, so that no table of the same name elsewhere can be put
    under them.
    """
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    # As the owner, whom no policy binds: who asks was told of the session and not of its user.
    op.execute(
        "CREATE FUNCTION parley_user_of_session(session uuid) RETURNS text"
        " LANGUAGE sql STABLE STRICT SECURITY DEFINER"
        f" RETURN (SELECT s.user_id FROM {schema}.sessions s WHERE s.id = session)"
    )
    # VOLATILE, so that it sees the turn which the statement that calls it has just made.
    op.execute(
        "CREATE FUNCTION parley_own_turn(turn uuid) RETURNS boolean"
        " LANGUAGE plpgsql VOLATILE STRICT AS $$BEGIN"
        f" RETURN EXISTS (SELECT FROM {schema}.turns t WHERE t.id = turn); END$$"
    )
    op.create_index(
        "ix_turns_memory",
        "turns",
        ["session_id", "number"],
        postgresql_where=sa.text("remembered"),
        postgresql_include=["attempt", "id", "user_id"],
    )
    op.drop_index("ix_turns_vouched", "turns")
