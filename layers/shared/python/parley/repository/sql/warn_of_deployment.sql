-- Say which budgets of all users together came near since this was last asked, each once for a day or a
-- month.
-- Parameters: percent, limits.
WITH near AS MATERIALIZED (
  SELECT p.id, p.warned, jsonb_object_agg(l.reached, l.since::text) AS news
  FROM (SELECT t.today, date_trunc('month', t.today)::date AS month
      FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) t) d
  CROSS JOIN jsonb_to_record(CAST(:limits AS jsonb)) AS s (
    deployment_tokens_per_day bigint, deployment_tokens_per_month bigint,
    deployment_usd_per_day bigint, deployment_usd_per_month bigint)
  CROSS JOIN deployment_spending p
  CROSS JOIN LATERAL (VALUES
    ('deployment_tokens_per_day', s.deployment_tokens_per_day, p.day_tokens, d.today),
    ('deployment_tokens_per_month', s.deployment_tokens_per_month, p.month_tokens, d.month),
    ('deployment_usd_per_day', s.deployment_usd_per_day, p.day_nanodollars, d.today),
    ('deployment_usd_per_month', s.deployment_usd_per_month, p.month_nanodollars, d.month)
  ) AS l (reached, most, used, since)
  WHERE p.day >= l.since AND l.used > 0 AND l.used::numeric * 100 >= l.most::numeric * :percent
    AND p.warned ->> l.reached IS DISTINCT FROM l.since::text
  GROUP BY p.id, p.warned),
told AS (
  UPDATE deployment_spending p SET warned = p.warned || near.news
  FROM near WHERE p.id = near.id AND p.warned = near.warned
  RETURNING near.news)
SELECT news.reached, count(*) AS users
FROM told CROSS JOIN LATERAL jsonb_object_keys(told.news) AS news (reached)
GROUP BY news.reached
