"""What turns cost is held and counted as their tokens are, for users and for all of them together.

It only adds, so that the code of the release before keeps working beside it: what turns spend that
it begins is not counted for all users together, nor in money; and what a turn holds in money that
it ends stays held until the day and the month are over.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# The row of all users comes last: nobody who holds it waits for another row. Where the statement
# said what may be spent together, it is refused if that is exceeded.
_BODY = """
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  counted date;  -- the day in which what was counted so far was held
  owner text;
  of_all boolean;
  -- Where that day, or its month, is still counted: tokens, and nanodollars.
  change bigint[];
  -- Where another has begun: what is held, and what became more than was held.
  fresh bigint[];
  of_day bigint[];
  of_month bigint[];
  limits jsonb;
  now_used jsonb;
  broken text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    owner := NEW.user_id;
    of_all := NEW.for_deployment;
    counted := today;
    change := ARRAY[NEW.held_tokens, NEW.held_nanodollars];
    fresh := change;
  ELSIF TG_OP = 'DELETE' THEN
    owner := OLD.user_id;
    of_all := OLD.for_deployment;
    counted := OLD.budget_day;
    change := ARRAY[-OLD.held_tokens, -OLD.held_nanodollars];
    fresh := ARRAY[0, 0];
  ELSE
    owner := NEW.user_id;
    of_all := NEW.for_deployment;
    counted := coalesce(OLD.budget_day, today);
    change := ARRAY[
      NEW.spent_tokens + NEW.lost_tokens - OLD.spent_tokens - OLD.lost_tokens - OLD.held_tokens,
      NEW.spent_nanodollars + NEW.lost_nanodollars - OLD.spent_nanodollars - OLD.lost_nanodollars
        - OLD.held_nanodollars];
    fresh := ARRAY[NEW.held_tokens + greatest(change[1], 0),
      NEW.held_nanodollars + greatest(change[2], 0)];
    change := ARRAY[NEW.held_tokens + change[1], NEW.held_nanodollars + change[2]];
  END IF;
  of_day := CASE WHEN counted = today THEN change ELSE fresh END;
  of_month := CASE WHEN date_trunc('month', counted) = date_trunc('month', today)
    THEN change ELSE fresh END;
  INSERT INTO {schema}.user_limits AS u (user_id, day, day_tokens, month_tokens, day_nanodollars,
    month_nanodollars)
  VALUES (owner, today, greatest(of_day[1], 0), greatest(of_month[1], 0), greatest(of_day[2], 0),
    greatest(of_month[2], 0))
  ON CONFLICT (user_id) DO UPDATE SET day = today,
    day_tokens = greatest(0, of_day[1] + CASE WHEN u.day = today THEN u.day_tokens ELSE 0 END),
    month_tokens = greatest(0, of_month[1]
      + CASE WHEN date_trunc('month', u.day) = date_trunc('month', today)
        THEN u.month_tokens ELSE 0 END),
    day_nanodollars = greatest(0, of_day[2]
      + CASE WHEN u.day = today THEN u.day_nanodollars ELSE 0 END),
    month_nanodollars = greatest(0, of_month[2]
      + CASE WHEN date_trunc('month', u.day) = date_trunc('month', today)
        THEN u.month_nanodollars ELSE 0 END);
  IF NOT of_all THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NOT OLD.for_deployment THEN  -- of what it took before nothing is counted
      of_day := ARRAY[NEW.held_tokens, NEW.held_nanodollars];
      of_month := of_day;
    END IF;
  END IF;
  INSERT INTO {schema}.deployment_spending AS p (id, day, day_tokens, month_tokens,
    day_nanodollars, month_nanodollars)
  VALUES (1, today, greatest(of_day[1], 0), greatest(of_month[1], 0), greatest(of_day[2], 0),
    greatest(of_month[2], 0))
  ON CONFLICT (id) DO UPDATE SET day = today,
    day_tokens = greatest(0, of_day[1] + CASE WHEN p.day = today THEN p.day_tokens ELSE 0 END),
    month_tokens = greatest(0, of_month[1]
      + CASE WHEN date_trunc('month', p.day) = date_trunc('month', today)
        THEN p.month_tokens ELSE 0 END),
    day_nanodollars = greatest(0, of_day[2]
      + CASE WHEN p.day = today THEN p.day_nanodollars ELSE 0 END),
    month_nanodollars = greatest(0, of_month[2]
      + CASE WHEN date_trunc('month', p.day) = date_trunc('month', today)
        THEN p.month_nanodollars ELSE 0 END)
  RETURNING jsonb_build_object('deployment_tokens_per_day', ARRAY[p.day_tokens, of_day[1]],
    'deployment_tokens_per_month', ARRAY[p.month_tokens, of_month[1]],
    'deployment_usd_per_day', ARRAY[p.day_nanodollars, of_day[2]],
    'deployment_usd_per_month', ARRAY[p.month_nanodollars, of_month[2]]) INTO now_used;
  limits := nullif(current_setting('parley.limits', true), '')::jsonb;
  IF limits IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT l.key INTO broken FROM jsonb_each(limits) l JOIN jsonb_each(now_used) n ON n.key = l.key
  WHERE (n.value ->> 1)::bigint > 0 AND (n.value ->> 0)::bigint > l.value::bigint LIMIT 1;
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION '% has no room', broken USING ERRCODE = 'PB001';
  END IF;
  RETURN NULL;
END"""

_MONEY = ("held_nanodollars", "spent_nanodollars", "lost_nanodollars")


def upgrade() -> None:
    """Add the columns and the table, and count anew.

    Defaults are kept in the catalogue: no row is written.
    """
    for name in _MONEY:
        op.add_column("turns", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "turns",
        sa.Column("for_deployment", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    for name in ("day_nanodollars", "month_nanodollars"):
        op.add_column(
            "user_limits", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        )
    for name in ("nanodollars_per_day", "nanodollars_per_month"):
        op.add_column("user_budgets", sa.Column(name, sa.BigInteger()))
    op.create_table(
        "deployment_spending",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("day", sa.Date(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            for name in ("day_tokens", "month_tokens", "day_nanodollars", "month_nanodollars")
        ),
        sa.Column("warned", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_spending")),
    )
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    op.execute(
        "CREATE OR REPLACE FUNCTION parley_count_tokens() RETURNS trigger"
        f" LANGUAGE plpgsql SECURITY DEFINER AS $${_BODY.format(schema=schema)}$$"
    )
    columns = ("held_tokens", "spent_tokens", "lost_tokens", "budget_day", *_MONEY)
    new, old = (", ".join(f"{row}.{name}" for name in columns) for row in ("NEW", "OLD"))
    op.execute("DROP TRIGGER parley_tokens_changed ON turns")
    op.execute(
        f"CREATE TRIGGER parley_tokens_changed AFTER UPDATE OF {', '.join(columns)} ON turns"
        f" FOR EACH ROW WHEN (({new}) IS DISTINCT FROM ({old}))"
        " EXECUTE FUNCTION parley_count_tokens()"
    )
