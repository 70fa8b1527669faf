-- What all users together may spend, and have spent or hold, of today and this month: a row for each limit.
-- Parameters: limits.
SELECT l.reached, l.most, CASE WHEN l.day >= l.since THEN l.counted ELSE 0 END AS used,
  (l.since + l.span)::timestamptz AS ends
FROM (SELECT t.today, date_trunc('month', t.today)::date AS month
    FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) t) d
  CROSS JOIN jsonb_to_record(CAST(:limits AS jsonb)) AS s (
    deployment_tokens_per_day bigint, deployment_tokens_per_month bigint,
    deployment_usd_per_day bigint, deployment_usd_per_month bigint)
  LEFT JOIN deployment_spending p ON true
  CROSS JOIN LATERAL (VALUES
    ('deployment_tokens_per_day', s.deployment_tokens_per_day, p.day, p.day_tokens,
      d.today, interval '1 day'),
    ('deployment_tokens_per_month', s.deployment_tokens_per_month, p.day, p.month_tokens,
      d.month, interval '1 month'),
    ('deployment_usd_per_day', s.deployment_usd_per_day, p.day, p.day_nanodollars,
      d.today, interval '1 day'),
    ('deployment_usd_per_month', s.deployment_usd_per_month, p.day, p.month_nanodollars,
      d.month, interval '1 month')
  ) AS l (reached, most, day, counted, since, span)
WHERE l.most IS NOT NULL
