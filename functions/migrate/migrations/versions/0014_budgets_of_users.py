"""What users spend in a day and in a month: what their turns hold and have spent, added up.

Turns say it of themselves, and a trigger adds each difference up in the same transaction, whoever
changes the turn. It only adds, so that the code of the release before keeps working beside it:
what turns spend that it ends is counted as far as it was held.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_BODY = """
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  counted date;  -- the day in which what was counted so far was held
  owner text;
  change bigint;  -- where that day, or its month, is still counted
  fresh bigint;  -- where another has begun: what is held, and what became more than was held
  of_day bigint;
  of_month bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    owner := NEW.user_id;
    counted := today;
    change := NEW.held_tokens;
    fresh := change;
  ELSIF TG_OP = 'DELETE' THEN
    owner := OLD.user_id;
    counted := OLD.budget_day;
    change := -OLD.held_tokens;
    fresh := 0;
  ELSE
    owner := NEW.user_id;
    counted := coalesce(OLD.budget_day, today);
    change := NEW.spent_tokens + NEW.lost_tokens - OLD.spent_tokens - OLD.lost_tokens
      - OLD.held_tokens;
    fresh := NEW.held_tokens + greatest(change, 0);
    change := NEW.held_tokens + change;
  END IF;
  of_day := CASE WHEN counted = today THEN change ELSE fresh END;
  of_month := CASE WHEN date_trunc('month', counted) = date_trunc('month', today)
    THEN change ELSE fresh END;
  INSERT INTO {schema}.user_limits AS u (user_id, day, day_tokens, month_tokens)
  VALUES (owner, today, greatest(of_day, 0), greatest(of_month, 0))
  ON CONFLICT (user_id) DO UPDATE SET day = today,
    day_tokens = greatest(0, of_day + CASE WHEN u.day = today THEN u.day_tokens ELSE 0 END),
    month_tokens = greatest(0, of_month
      + CASE WHEN date_trunc('month', u.day) = date_trunc('month', today)
        THEN u.month_tokens ELSE 0 END);
  RETURN NULL;
END"""


def upgrade() -> None:
    """Add the columns, and what adds them up.

    Defaults are kept in the catalogue: no row is written. The function names the table's schema,
    and runs as the owner, since administration moves turns between users.
    """
    for name in ("held_tokens", "spent_tokens", "lost_tokens"):
        op.add_column("turns", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("turns", sa.Column("budget_day", sa.Date()))
    op.add_column("user_limits", sa.Column("day", sa.Date()))
    for name in ("day_tokens", "month_tokens"):
        op.add_column(
            "user_limits", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        )
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    op.execute(
        "CREATE FUNCTION parley_count_tokens() RETURNS trigger"
        f" LANGUAGE plpgsql SECURITY DEFINER AS $${_BODY.format(schema=schema)}$$"
    )
    for name, when, condition in (
        ("begun", "INSERT", "NEW.held_tokens > 0"),
        (
            "changed",
            "UPDATE OF held_tokens, spent_tokens, lost_tokens, budget_day",
            "(NEW.held_tokens, NEW.spent_tokens, NEW.lost_tokens, NEW.budget_day) IS DISTINCT FROM"
            " (OLD.held_tokens, OLD.spent_tokens, OLD.lost_tokens, OLD.budget_day)",
        ),
        # Of one that ran the model may have been asked.
        ("gone", "DELETE", "OLD.status = 'queued' AND OLD.held_tokens > 0"),
    ):
        op.execute(
            f"CREATE TRIGGER parley_tokens_{name} AFTER {when} ON turns FOR EACH ROW"
            f" WHEN ({condition}) EXECUTE FUNCTION parley_count_tokens()"
        )
