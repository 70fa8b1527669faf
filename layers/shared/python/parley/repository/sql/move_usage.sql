-- Add what one user's calls came to to another's sums, and leave none of it where it was.
-- Parameters: old, new.
WITH gone AS (
  DELETE FROM daily_usage WHERE user_id = :old RETURNING *)
INSERT INTO daily_usage AS d (user_id, day, agent, model, calls, input_tokens, cached_tokens,
  output_tokens, reasoning_tokens, cost_nanodollars, uncounted_calls, unpriced_calls)
SELECT :new, day, agent, model, calls, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
  cost_nanodollars, uncounted_calls, unpriced_calls
FROM gone ORDER BY day, agent, model
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
RETURNING d.day
