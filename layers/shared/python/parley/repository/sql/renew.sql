-- Hold the turn for another lease, and say whether its user has got a budget of their own, and in money.
-- Parameters: turn_id, attempt, lease.
UPDATE turns t SET lease_expires_at = now() + make_interval(secs => :lease)
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id, EXISTS (SELECT FROM user_budgets b WHERE b.user_id = t.user_id) AS has_budget,
  EXISTS (SELECT FROM user_budgets b WHERE b.user_id = t.user_id
    AND coalesce(b.nanodollars_per_day, b.nanodollars_per_month) IS NOT NULL) AS counts_money
