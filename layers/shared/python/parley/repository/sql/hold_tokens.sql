-- Hold what the next calls of a running turn's model are expected to take, or say which budget of its
-- user's has no room; neither, if the attempt was replaced. What is over is settled, and the lease renewed.
-- What is given is all that the turn holds and has spent, so it may be sent again. No other that counts
-- the user's tokens goes on meanwhile (OfUser.alone).
-- Parameters: user_id, turn_id, attempt, lease, held, settled, tokens_per_day, tokens_per_month.
WITH turn AS MATERIALIZED (
  SELECT t.id, d.today, CASE WHEN t.budget_day = d.today
      THEN :held + :settled - t.held_tokens - t.spent_tokens ELSE :held END AS more
  FROM turns t, (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) d
  WHERE t.id = :turn_id AND t.attempt = :attempt AND t.status = 'running'),
budget AS MATERIALIZED (
  SELECT turn.today, date_trunc('month', turn.today)::date AS month, turn.more AS tokens,
    coalesce(CASE WHEN u.day = turn.today THEN u.day_tokens END, 0) AS day_tokens,
    coalesce(CASE WHEN date_trunc('month', u.day) = date_trunc('month', turn.today)
      THEN u.month_tokens END, 0) AS month_tokens,
    coalesce(b.tokens_per_day, nullif(:tokens_per_day, 0)) AS tokens_per_day,
    coalesce(b.tokens_per_month, nullif(:tokens_per_month, 0)) AS tokens_per_month
  FROM turn LEFT JOIN user_limits u ON u.user_id = :user_id
  LEFT JOIN user_budgets b ON b.user_id = :user_id),
bounds AS MATERIALIZED (
  SELECT l.* FROM budget b, LATERAL (VALUES
    ('user_tokens_per_month', b.tokens_per_month, b.month_tokens, b.tokens,
      (b.month + interval '1 month')::timestamptz),
    ('user_tokens_per_day', b.tokens_per_day, b.day_tokens, b.tokens,
      (b.today + interval '1 day')::timestamptz)
  ) AS l (reached, most, used, more, ends)
  WHERE l.most IS NOT NULL),
excess AS MATERIALIZED (
  SELECT reached, most, extract(epoch FROM ends - clock_timestamp())::float AS renews, used, ends
  FROM bounds WHERE used + more > most LIMIT 1),
held AS (
  UPDATE turns t SET held_tokens = :held, spent_tokens = :settled, budget_day = turn.today,
         lease_expires_at = now() + make_interval(secs => :lease)
  FROM turn WHERE t.id = turn.id AND t.attempt = :attempt AND t.status = 'running'
    AND NOT EXISTS (SELECT FROM excess)
  RETURNING t.id)
SELECT held.id AS turn_id, excess.reached, excess.most, excess.renews, excess.used, excess.ends
FROM (SELECT) one LEFT JOIN held ON true LEFT JOIN excess ON true
