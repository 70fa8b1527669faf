-- Count what a summary took that counts for nobody: memory was cleared, or its session deleted, while it
-- was made, or another attempt has taken its place. The user's own sums say that the user is there still:
-- of one who was erased meanwhile nothing is written.
-- Parameters: session_id, user_id, agent, model_calls, input_tokens, output_tokens, cost, priced_calls,
-- uncounted_calls, spent, spent_tokens, spent_cost, limits, of_all.
WITH told AS (
  UPDATE sessions x SET summary_calls = least(x.summary_calls::bigint + :model_calls, 2147483647),
    summary_input_tokens = x.summary_input_tokens + :input_tokens,
    summary_output_tokens = x.summary_output_tokens + :output_tokens,
    summary_cost_nanodollars = coalesce(x.summary_cost_nanodollars + CAST(:cost AS bigint),
      x.summary_cost_nanodollars, CAST(:cost AS bigint)),
    summary_priced_calls = least(x.summary_priced_calls::bigint + :priced_calls, 2147483647),
    summary_uncounted_calls = least(x.summary_uncounted_calls::bigint + :uncounted_calls, 2147483647)
  WHERE x.id = :session_id AND x.user_id = :user_id
  RETURNING 1),
-- Locked behind the session, as by all that count; who erases the user meanwhile is waited for.
ended AS MATERIALIZED (
  SELECT d.user_id, now() AS ended_at FROM daily_usage d, (SELECT count(*) FROM told) t
  WHERE d.user_id = :user_id LIMIT 1 FOR KEY SHARE OF d),
spent AS (
  INSERT INTO daily_usage AS d (user_id, day, agent, model, calls, input_tokens, cached_tokens,
    output_tokens, reasoning_tokens, cost_nanodollars, uncounted_calls, unpriced_calls)
  SELECT ended.user_id, (ended.ended_at AT TIME ZONE 'UTC')::date, :agent, s.model, s.calls,
    s.input, s.cached, s.output, s.reasoning, s.cost, s.uncounted, s.unpriced
  FROM ended, jsonb_to_recordset(CAST(:spent AS jsonb)) AS s(model text, calls bigint,
    input bigint, cached bigint, output bigint, reasoning bigint, cost numeric,
    uncounted bigint, unpriced bigint)
  ORDER BY s.model
  ON CONFLICT (user_id, day, agent, model) DO UPDATE SET
    calls = d.calls + excluded.calls,
    input_tokens = coalesce(
      d.input_tokens + excluded.input_tokens, d.input_tokens, excluded.input_tokens),
    cached_tokens = coalesce(
      d.cached_tokens + excluded.cached_tokens, d.cached_tokens, excluded.cached_tokens),
    output_tokens = coalesce(
      d.output_tokens + excluded.output_tokens, d.output_tokens, excluded.output_tokens),
    reasoning_tokens = coalesce(d.reasoning_tokens + excluded.reasoning_tokens,
      d.reasoning_tokens, excluded.reasoning_tokens),
    cost_nanodollars = coalesce(d.cost_nanodollars + excluded.cost_nanodollars,
      d.cost_nanodollars, excluded.cost_nanodollars),
    uncounted_calls = d.uncounted_calls + excluded.uncounted_calls,
    unpriced_calls = d.unpriced_calls + excluded.unpriced_calls
  RETURNING 1)
SELECT ended.ended_at
-- Last, as all users' row comes behind all others: what it took of budgets, where there are any.
FROM ended, (SELECT count(*) AS models FROM spent) s,
  (SELECT CAST(:limits AS jsonb) <> '{}'
     OR EXISTS (SELECT FROM user_budgets b WHERE b.user_id = :user_id) AS counts) b,
  LATERAL parley_count_summary(
    CASE WHEN b.counts AND s.models >= 0 THEN CAST(:spent_tokens AS bigint) ELSE 0 END,
    CASE WHEN b.counts THEN CAST(:spent_cost AS bigint) ELSE 0 END, :of_all) c
