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
  SELECT turn.today, turn.more,
    coalesce(CASE WHEN u.day = turn.today THEN u.day_tokens END, 0) AS day,
    coalesce(CASE WHEN date_trunc('month', u.day) = date_trunc('month', turn.today)
      THEN u.month_tokens END, 0) AS month
  FROM turn LEFT JOIN user_limits u ON u.user_id = :user_id),
excess AS MATERIALIZED (
  SELECT 'user_tokens_per_month' AS reached, :tokens_per_month AS most,
    extract(epoch FROM date_trunc('month', today) + interval '1 month' - clock_timestamp())::float
      AS renews,
    month AS used
  FROM budget WHERE :tokens_per_month > 0 AND month + more > :tokens_per_month
  UNION ALL
  SELECT 'user_tokens_per_day', :tokens_per_day,
    extract(epoch FROM (today + 1)::timestamptz - clock_timestamp())::float, day
  FROM budget WHERE :tokens_per_day > 0 AND day + more > :tokens_per_day
  LIMIT 1),
held AS (
  UPDATE turns t SET held_tokens = :held, spent_tokens = :settled, budget_day = turn.today,
         lease_expires_at = now() + make_interval(secs => :lease)
  FROM turn WHERE t.id = turn.id AND t.attempt = :attempt AND t.status = 'running'
    AND NOT EXISTS (SELECT FROM excess)
  RETURNING t.id)
SELECT held.id AS turn_id, excess.reached, excess.most, excess.renews, excess.used
FROM (SELECT) one LEFT JOIN held ON true LEFT JOIN excess ON true
