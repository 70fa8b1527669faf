-- What a user may spend, and has spent or holds, of today and this month: a row for each limit, or one.
-- Parameters: user_id, limits.
WITH budget AS MATERIALIZED (
  SELECT d.today, date_trunc('month', d.today)::date AS month, s.*, u.day, u.day_tokens, u.month_tokens,
    u.day_nanodollars, u.month_nanodollars, b.tokens_per_day, b.tokens_per_month,
    b.nanodollars_per_day, b.nanodollars_per_month
  FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) d
  CROSS JOIN jsonb_to_record(CAST(:limits AS jsonb)) AS s (
      user_tokens_per_day bigint, user_tokens_per_month bigint,
      user_usd_per_day bigint, user_usd_per_month bigint)
  LEFT JOIN user_limits u ON u.user_id = :user_id
  LEFT JOIN user_budgets b ON b.user_id = :user_id)
SELECT b.tokens_per_day, b.tokens_per_month, b.nanodollars_per_day, b.nanodollars_per_month,
  l.reached, l.most, CASE WHEN l.day >= l.since THEN l.counted ELSE 0 END AS used,
  (l.since + l.span)::timestamptz AS ends
FROM budget b LEFT JOIN LATERAL (VALUES
    ('user_tokens_per_day', coalesce(b.tokens_per_day, b.user_tokens_per_day),
      b.day, b.day_tokens, b.today, interval '1 day'),
    ('user_tokens_per_month', coalesce(b.tokens_per_month, b.user_tokens_per_month),
      b.day, b.month_tokens, b.month, interval '1 month'),
    ('user_usd_per_day', coalesce(b.nanodollars_per_day, b.user_usd_per_day),
      b.day, b.day_nanodollars, b.today, interval '1 day'),
    ('user_usd_per_month', coalesce(b.nanodollars_per_month, b.user_usd_per_month),
      b.day, b.month_nanodollars, b.month, interval '1 month')
  ) AS l (reached, most, day, counted, since, span) ON l.most IS NOT NULL
