-- Leave a summary that could not be made for a while, longer after each failure.
-- Parameters: session_id, user_id, making_id, making_attempt, pause, longest, model_calls, input_tokens,
-- output_tokens, cost, priced_calls, uncounted_calls, spent, spent_tokens, spent_cost, limits, of_all.
WITH ended AS (
  UPDATE sessions x SET summarising_failures = least(x.summarising_failures, 1000) + 1,
    summarising_until = now() + make_interval(
      secs => least(:pause * 2.0 ^ least(x.summarising_failures, 30), :longest)),
    summary_calls = least(x.summary_calls::bigint + :model_calls, 2147483647),
    summary_input_tokens = x.summary_input_tokens + :input_tokens,
    summary_output_tokens = x.summary_output_tokens + :output_tokens,
    summary_cost_nanodollars = coalesce(x.summary_cost_nanodollars + CAST(:cost AS bigint),
      x.summary_cost_nanodollars, CAST(:cost AS bigint)),
    summary_priced_calls = least(x.summary_priced_calls::bigint + :priced_calls, 2147483647),
    summary_uncounted_calls = least(x.summary_uncounted_calls::bigint + :uncounted_calls, 2147483647)
  WHERE x.id = :session_id AND x.user_id = :user_id AND x.summarising_id = :making_id
    AND x.summarising_attempt = :making_attempt
  RETURNING x.user_id, x.agent, now() AS ended_at, x.summarising_failures AS failures,
    extract(epoch FROM x.summarising_until - now())::float AS pause),
spent AS (
  INSERT INTO daily_usage AS d (user_id, day, agent, model, calls, input_tokens, cached_tokens,
    output_tokens, reasoning_tokens, cost_nanodollars, uncounted_calls, unpriced_calls)
  SELECT ended.user_id, (ended.ended_at AT TIME ZONE 'UTC')::date, ended.agent, s.model, s.calls,
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
SELECT ended.failures, ended.pause
-- Last, as all users' row comes behind all others: what it took of budgets, where there are any.
FROM ended, (SELECT count(*) AS models FROM spent) s,
  (SELECT CAST(:limits AS jsonb) <> '{}'
     OR EXISTS (SELECT FROM user_budgets b WHERE b.user_id = :user_id) AS counts) b,
  LATERAL parley_count_summary(
    CASE WHEN b.counts AND s.models >= 0 THEN CAST(:spent_tokens AS bigint) ELSE 0 END,
    CASE WHEN b.counts THEN CAST(:spent_cost AS bigint) ELSE 0 END, :of_all) c
