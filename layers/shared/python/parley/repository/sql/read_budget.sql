-- What a user may spend, and has spent or holds, of today and this month: a row for each limit, or one.
-- Parameters: user_id, tokens_per_day, tokens_per_month.
WITH budget AS MATERIALIZED (
  SELECT d.today, date_trunc('month', d.today) AS month,
    coalesce(CASE WHEN u.day = d.today THEN u.day_tokens END, 0) AS day_tokens,
    coalesce(CASE WHEN date_trunc('month', u.day) = date_trunc('month', d.today)
      THEN u.month_tokens END, 0) AS month_tokens,
    b.tokens_per_day AS own_tokens_per_day, b.tokens_per_month AS own_tokens_per_month,
    coalesce(b.tokens_per_day, nullif(:tokens_per_day, 0)) AS tokens_per_day,
    coalesce(b.tokens_per_month, nullif(:tokens_per_month, 0)) AS tokens_per_month
  FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) d
  LEFT JOIN user_limits u ON u.user_id = :user_id
  LEFT JOIN user_budgets b ON b.user_id = :user_id)
SELECT b.own_tokens_per_day, b.own_tokens_per_month, l.*
FROM budget b LEFT JOIN LATERAL (VALUES
    ('user_tokens_per_day', b.tokens_per_day, b.day_tokens,
      (b.today + interval '1 day')::timestamptz),
    ('user_tokens_per_month', b.tokens_per_month, b.month_tokens,
      (b.month + interval '1 month')::timestamptz)
  ) AS l (reached, most, used, ends) ON l.most IS NOT NULL
