-- Say how many users came near each budget since this was last asked, each once for a day or a month.
-- A row that another asks of meanwhile is locked, and looked at again: it says so then.
-- When the month began stands there twice: of what a subquery gives, Postgres does not know how many
-- rows come after it, and would read all.
-- Parameters: percent, limits.
WITH near AS MATERIALIZED (
  SELECT u.user_id, u.warned, jsonb_object_agg(l.reached, l.since::text) AS news
  FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) d
  CROSS JOIN jsonb_to_record(CAST(:limits AS jsonb)) AS s (
      user_tokens_per_day bigint, user_tokens_per_month bigint,
      user_usd_per_day bigint, user_usd_per_month bigint)
  JOIN user_limits u ON u.day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date
  LEFT JOIN user_budgets b ON b.user_id = u.user_id
  CROSS JOIN LATERAL (VALUES
    ('user_tokens_per_day', coalesce(b.tokens_per_day, s.user_tokens_per_day),
      CASE WHEN u.day = d.today THEN u.day_tokens ELSE 0 END, d.today),
    ('user_tokens_per_month', coalesce(b.tokens_per_month, s.user_tokens_per_month),
      u.month_tokens, date_trunc('month', d.today)::date),
    ('user_usd_per_day', coalesce(b.nanodollars_per_day, s.user_usd_per_day),
      CASE WHEN u.day = d.today THEN u.day_nanodollars ELSE 0 END, d.today),
    ('user_usd_per_month', coalesce(b.nanodollars_per_month, s.user_usd_per_month),
      u.month_nanodollars, date_trunc('month', d.today)::date)
  ) AS l (reached, most, used, since)
  WHERE l.used > 0 AND l.used::numeric * 100 >= l.most::numeric * :percent
    AND u.warned ->> l.reached IS DISTINCT FROM l.since::text
  GROUP BY u.user_id, u.warned),
told AS (
  UPDATE user_limits u SET warned = u.warned || near.news
  FROM near WHERE u.user_id = near.user_id AND u.warned = near.warned
  RETURNING near.news)
SELECT news.reached, count(*) AS users
FROM told CROSS JOIN LATERAL jsonb_object_keys(told.news) AS news (reached)
GROUP BY news.reached
