"""How many summaries are made at a time, and how many of their calls told no tokens.

It only adds, so that the code of the release before keeps working beside it: its summaries take no
place, and of their calls nobody knows here whether tokens were told.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# The row is locked when its places are counted, until the statement is committed, which waits for
# its session at most. What is there of processes that died is passed over when its time is up, and
# so is what lies further ahead than can be, of a clock that was set back; a place that is had
# already is had again.
_TAKE = """
BEGIN
  INSERT INTO {schema}.summary_places AS p (id, held)
  VALUES (1, jsonb_build_object(place::text, extract(epoch FROM clock_timestamp()) + seconds))
  ON CONFLICT (id) DO UPDATE SET held = excluded.held || coalesce((
      SELECT jsonb_object_agg(s.key, s.value) FROM jsonb_each(p.held) s
      WHERE s.key <> place::text AND s.value::float > extract(epoch FROM clock_timestamp())
        AND s.value::float <= extract(epoch FROM clock_timestamp()) + seconds), '{{}}')
    WHERE (SELECT count(*) FROM jsonb_each(p.held) s
      WHERE s.key <> place::text AND s.value::float > extract(epoch FROM clock_timestamp())
        AND s.value::float <= extract(epoch FROM clock_timestamp()) + seconds) < most;
  RETURN FOUND;
END"""

_LEAVE = """
  UPDATE {schema}.summary_places SET held = held - place::text WHERE jsonb_exists(held, place::text)
"""


def upgrade() -> None:
    """Make the table and its functions, and add the column, whose default writes no row."""
    op.create_table(
        "summary_places",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("held", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_summary_places")),
    )
    op.add_column(
        "sessions",
        sa.Column("summary_uncounted_calls", sa.Integer(), server_default="0", nullable=False),
    )
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    for signature, returns, language, body in (
        (
            "parley_take_summary_place(place uuid, most integer, seconds float)",
            "boolean",
            "plpgsql",
            _TAKE,
        ),
        ("parley_leave_summary_place(place uuid)", "void", "sql", _LEAVE),
    ):
        op.execute(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS {returns}"
            f" LANGUAGE {language} SECURITY DEFINER AS $${body.format(schema=schema)}$$"
        )
