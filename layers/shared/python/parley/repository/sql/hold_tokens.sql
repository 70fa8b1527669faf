-- Hold what the next calls of a running turn's model are expected to take and cost, or say which budget has
-- no room, and whether one is in money; neither, if the attempt was replaced. What is over is settled, and the lease renewed.
-- What is given is all that the turn holds and has spent, so it may be sent again. No other that counts
-- what the user spends goes on meanwhile (OfUser.alone); of all users together the trigger that counts
-- makes sure, which is told the limits.
-- Parameters: user_id, turn_id, attempt, lease, held, settled, held_cost, settled_cost, limits.
WITH budget AS MATERIALIZED (
  SELECT t.id, s.*, d.today, date_trunc('month', d.today)::date AS month, coalesce(s.deployment_tokens_per_day, s.deployment_tokens_per_month,
      s.deployment_usd_per_day, s.deployment_usd_per_month) IS NOT NULL AS of_all,
    CASE WHEN t.budget_day = d.today
      THEN :held + :settled - t.held_tokens - t.spent_tokens ELSE :held END AS tokens,
    CASE WHEN t.budget_day = d.today THEN :held_cost + :settled_cost
      - t.held_nanodollars - t.spent_nanodollars ELSE :held_cost END AS nanodollars,
    -- As the trigger counts it, or who is refused by that would see room again.
    CASE WHEN NOT t.for_deployment THEN :held
      WHEN t.budget_day = d.today THEN :held + :settled - t.held_tokens - t.spent_tokens
      ELSE :held + greatest(:settled - t.held_tokens - t.spent_tokens, 0) END AS all_tokens,
    CASE WHEN NOT t.for_deployment THEN :held_cost
      WHEN t.budget_day = d.today
      THEN :held_cost + :settled_cost - t.held_nanodollars - t.spent_nanodollars
      ELSE :held_cost + greatest(:settled_cost - t.held_nanodollars - t.spent_nanodollars, 0)
      END AS all_nanodollars
  FROM turns t, (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) d,
    jsonb_to_record(CAST(:limits AS jsonb)) AS s (
      user_tokens_per_day bigint, user_tokens_per_month bigint,
      user_usd_per_day bigint, user_usd_per_month bigint,
      deployment_tokens_per_day bigint, deployment_tokens_per_month bigint,
      deployment_usd_per_day bigint, deployment_usd_per_month bigint)
  WHERE t.id = :turn_id AND t.attempt = :attempt AND t.status = 'running'),
bounds AS MATERIALIZED (
  SELECT l.reached, l.most, CASE WHEN l.day >= l.since THEN l.counted ELSE 0 END AS used, l.more,
    l.since, (l.since + l.span)::timestamptz AS ends
  FROM budget x LEFT JOIN user_limits u ON u.user_id = :user_id
  LEFT JOIN user_budgets b ON b.user_id = :user_id LEFT JOIN deployment_spending p ON x.of_all
  CROSS JOIN LATERAL (VALUES
    ('user_tokens_per_month', coalesce(b.tokens_per_month, x.user_tokens_per_month),
      u.day, u.month_tokens, x.tokens, x.month, interval '1 month'),
    ('user_tokens_per_day', coalesce(b.tokens_per_day, x.user_tokens_per_day),
      u.day, u.day_tokens, x.tokens, x.today, interval '1 day'),
    ('user_usd_per_month', coalesce(b.nanodollars_per_month, x.user_usd_per_month),
      u.day, u.month_nanodollars, x.nanodollars, x.month, interval '1 month'),
    ('user_usd_per_day', coalesce(b.nanodollars_per_day, x.user_usd_per_day),
      u.day, u.day_nanodollars, x.nanodollars, x.today, interval '1 day'),
    ('deployment_tokens_per_month', x.deployment_tokens_per_month,
      p.day, p.month_tokens, x.all_tokens, x.month, interval '1 month'),
    ('deployment_tokens_per_day', x.deployment_tokens_per_day,
      p.day, p.day_tokens, x.all_tokens, x.today, interval '1 day'),
    ('deployment_usd_per_month', x.deployment_usd_per_month,
      p.day, p.month_nanodollars, x.all_nanodollars, x.month, interval '1 month'),
    ('deployment_usd_per_day', x.deployment_usd_per_day,
      p.day, p.day_nanodollars, x.all_nanodollars, x.today, interval '1 day')
  ) AS l (reached, most, day, counted, more, since, span)
  WHERE l.most IS NOT NULL),
-- What other turns hold comes back when their calls are over; not what an attempt holds that died.
narrow AS MATERIALIZED (
  SELECT b.*, e.expected, CASE WHEN b.reached LIKE 'deployment%'
    THEN parley_held_of_all(b.since, b.reached LIKE '%usd%') - (
      SELECT CASE WHEN NOT t.for_deployment OR t.budget_day < b.since THEN 0
        WHEN b.reached LIKE '%usd%' THEN t.held_nanodollars ELSE t.held_tokens END
      FROM turns t WHERE t.id = x.id)
    ELSE (
      SELECT coalesce(sum(CASE WHEN b.reached LIKE '%usd%' THEN t.held_nanodollars
        ELSE t.held_tokens END), 0)::bigint
      FROM turns t WHERE t.user_id = :user_id AND t.id <> x.id AND t.status IN ('queued', 'running')
        AND t.budget_day >= b.since AND (t.status = 'queued' OR t.lease_expires_at >= now()))
    END AS held
  FROM budget x, bounds b,
    LATERAL (SELECT CASE WHEN b.reached LIKE '%usd%' THEN CAST(:held_cost AS bigint)
      ELSE CAST(:held AS bigint) END AS expected) e
  WHERE b.used + b.more > b.most),
excess AS MATERIALIZED (
  SELECT reached, most, used, ends, greatest(held, 0) AS held, expected,
    CASE WHEN expected > most OR most = 0 THEN NULL
      WHEN used - held + more <= most THEN 0
      ELSE extract(epoch FROM ends - clock_timestamp()) END::float AS renews
  -- First what never fits, then what takes longest.
  FROM narrow ORDER BY renews DESC NULLS FIRST LIMIT 1),
held AS (
  UPDATE turns t SET held_tokens = :held, spent_tokens = :settled,
         held_nanodollars = :held_cost, spent_nanodollars = :settled_cost, budget_day = x.today,
         for_deployment =
           (x.of_all AND set_config('parley.limits', CAST(:limits AS jsonb)::text, true) <> '') OR t.for_deployment,
         lease_expires_at = now() + make_interval(secs => :lease)
  FROM budget x WHERE t.id = x.id AND t.attempt = :attempt AND t.status = 'running'
    AND NOT EXISTS (SELECT FROM excess)
  RETURNING t.id)
SELECT held.id AS turn_id, excess.reached, excess.most, excess.renews, excess.used, excess.ends,
  excess.held, excess.expected, EXISTS (SELECT FROM bounds WHERE reached LIKE '%usd%') AS counts_money
FROM (SELECT) one LEFT JOIN held ON true LEFT JOIN excess ON true
