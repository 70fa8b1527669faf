"""What is held counts for the day of the statement that holds it, and summaries for budgets.

It only adds, so that the code of the release before keeps working beside it: what making its
summaries takes is in no budget.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# The row of all users comes last: nobody who holds it waits for another row. Amounts are tokens
# and nanodollars.
_ADD = """
DECLARE
  now_used jsonb;
BEGIN
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
  IF all_day IS NULL THEN
    RETURN NULL;
  END IF;
  INSERT INTO {schema}.deployment_spending AS p (id, day, day_tokens, month_tokens,
    day_nanodollars, month_nanodollars)
  VALUES (1, today, greatest(all_day[1], 0), greatest(all_month[1], 0), greatest(all_day[2], 0),
    greatest(all_month[2], 0))
  ON CONFLICT (id) DO UPDATE SET day = today,
    day_tokens = greatest(0, all_day[1] + CASE WHEN p.day = today THEN p.day_tokens ELSE 0 END),
    month_tokens = greatest(0, all_month[1]
      + CASE WHEN date_trunc('month', p.day) = date_trunc('month', today)
        THEN p.month_tokens ELSE 0 END),
    day_nanodollars = greatest(0, all_day[2]
      + CASE WHEN p.day = today THEN p.day_nanodollars ELSE 0 END),
    month_nanodollars = greatest(0, all_month[2]
      + CASE WHEN date_trunc('month', p.day) = date_trunc('month', today)
        THEN p.month_nanodollars ELSE 0 END)
  RETURNING jsonb_build_object('deployment_tokens_per_day', ARRAY[p.day_tokens, all_day[1]],
    'deployment_tokens_per_month', ARRAY[p.month_tokens, all_month[1]],
    'deployment_usd_per_day', ARRAY[p.day_nanodollars, all_day[2]],
    'deployment_usd_per_month', ARRAY[p.month_nanodollars, all_month[2]]) INTO now_used;
  RETURN now_used;
END"""

# Who comes over midnight finds a row that others have brought into the new day: it never goes back,
# or what they hold would be forgotten. One that is further ahead is of a clock that was set back.
_TODAY = """
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  counted date;
BEGIN
  IF held_for = today + 1 THEN
    today := held_for;
  END IF;
  SELECT u.day INTO counted FROM {schema}.user_limits u WHERE u.user_id = owner
    FOR NO KEY UPDATE;
  IF counted = today + 1 THEN
    today := counted;
  END IF;
  IF of_all THEN
    SELECT p.day INTO counted FROM {schema}.deployment_spending p FOR NO KEY UPDATE;
    IF counted = today + 1 THEN
      today := counted;
    END IF;
  END IF;
  RETURN today;
END"""

# Where the statement said what may be spent together, it is refused if that is exceeded.
_BODY = """
DECLARE
  today date;
  owner text;
  of_all boolean;
  was_of_all boolean;
  counted date;  -- the day for which was counted what was held so far
  counts date;  -- the day for which is counted what is held now
  before bigint[] := ARRAY[0, 0];  -- what was held: tokens, and nanodollars
  held bigint[] := ARRAY[0, 0];  -- what is held now
  more bigint[] := ARRAY[0, 0];  -- what was spent or lost since
  of_day bigint[] := ARRAY[0, 0];
  of_month bigint[] := ARRAY[0, 0];
  all_day bigint[];
  all_month bigint[];
  month date;
  limits jsonb;
  now_used jsonb;
  broken text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    owner := NEW.user_id;
    of_all := NEW.for_deployment;
    was_of_all := of_all;
    counts := NEW.budget_day;
    held := ARRAY[NEW.held_tokens, NEW.held_nanodollars];
  ELSIF TG_OP = 'DELETE' THEN
    owner := OLD.user_id;
    of_all := OLD.for_deployment;
    was_of_all := of_all;
    counted := OLD.budget_day;
    before := ARRAY[OLD.held_tokens, OLD.held_nanodollars];
  ELSE
    owner := NEW.user_id;
    of_all := NEW.for_deployment;
    was_of_all := OLD.for_deployment;
    counted := OLD.budget_day;
    counts := NEW.budget_day;
    before := ARRAY[OLD.held_tokens, OLD.held_nanodollars];
    held := ARRAY[NEW.held_tokens, NEW.held_nanodollars];
    more := ARRAY[
      NEW.spent_tokens + NEW.lost_tokens - OLD.spent_tokens - OLD.lost_tokens,
      NEW.spent_nanodollars + NEW.lost_nanodollars - OLD.spent_nanodollars - OLD.lost_nanodollars];
  END IF;
  today := {schema}.parley_budget_day(owner, of_all, counts);
  month := date_trunc('month', today);
  counted := coalesce(counted, today);
  counts := coalesce(counts, today);
  FOR unit IN 1..2 LOOP
    -- What was held for another day is settled there; what became more than it is spent today.
    of_day[unit] := CASE WHEN counts = today THEN held[unit] ELSE 0 END
      + CASE WHEN counted = today THEN more[unit] - before[unit]
        ELSE greatest(more[unit] - before[unit], 0) END;
    of_month[unit] := CASE WHEN date_trunc('month', counts) = month THEN held[unit] ELSE 0 END
      + CASE WHEN date_trunc('month', counted) = month THEN more[unit] - before[unit]
        ELSE greatest(more[unit] - before[unit], 0) END;
  END LOOP;
  IF of_all THEN
    all_day := of_day;
    all_month := of_month;
    IF NOT was_of_all THEN  -- of what it took before nothing is counted
      all_day := CASE WHEN counts = today THEN held ELSE ARRAY[0, 0]::bigint[] END;
      all_month := CASE WHEN date_trunc('month', counts) = month THEN held
        ELSE ARRAY[0, 0]::bigint[] END;
    END IF;
  END IF;
  now_used := {schema}.parley_add_spending(owner, today, of_day, of_month, all_day, all_month);
  limits := nullif(current_setting('parley.limits', true), '')::jsonb;
  IF limits IS NULL OR now_used IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT l.key INTO broken FROM jsonb_each(limits) l JOIN jsonb_each(now_used) n ON n.key = l.key
  WHERE (n.value ->> 1)::bigint > 0 AND (n.value ->> 0)::bigint > l.value::bigint LIMIT 1;
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION '% has no room', broken USING ERRCODE = 'PB001';
  END IF;
  RETURN NULL;
END"""

# Of the user whose scope it is: who calls it can add to nobody else's.
_SUMMARY = """
DECLARE
  owner text := nullif(current_setting('parley.user', true), '');
  took bigint[] := ARRAY[greatest(tokens, 0), greatest(nanodollars, 0)];
  shared bigint[] := CASE WHEN of_all THEN took END;
BEGIN
  IF owner IS NOT NULL AND took <> ARRAY[0::bigint, 0::bigint] THEN
    PERFORM {schema}.parley_add_spending(owner, {schema}.parley_budget_day(owner, of_all, NULL),
      took, took, shared, shared);
  END IF;
END"""

# Others' turns are not seen by who begins one. What an attempt holds that died does not come back.
_HELD = """
  SELECT coalesce(sum(CASE WHEN in_money THEN t.held_nanodollars ELSE t.held_tokens END), 0)::bigint
  FROM {schema}.turns t
  WHERE t.status IN ('queued', 'running') AND t.for_deployment AND t.budget_day >= since
    AND (t.status = 'queued' OR t.lease_expires_at >= now())
"""


def upgrade() -> None:
    """Make the functions, of which one takes the place of the trigger's before."""
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    for signature, returns, language, body in (
        (
            "parley_add_spending(owner text, today date, of_day bigint[], of_month bigint[],"
            " all_day bigint[], all_month bigint[])",
            "jsonb",
            "plpgsql",
            _ADD,
        ),
        (
            "parley_budget_day(owner text, of_all boolean, held_for date)",
            "date",
            "plpgsql",
            _TODAY,
        ),
        ("parley_count_tokens()", "trigger", "plpgsql SECURITY DEFINER", _BODY),
        (
            "parley_count_summary(tokens bigint, nanodollars bigint, of_all boolean)",
            "void",
            "plpgsql SECURITY DEFINER",
            _SUMMARY,
        ),
        (
            "parley_held_of_all(since date, in_money boolean)",
            "bigint",
            "sql STABLE SECURITY DEFINER",
            _HELD,
        ),
    ):
        op.execute(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS {returns}"
            f" LANGUAGE {language} AS $${body.format(schema=schema)}$$"
        )
