-- End a turn without a reply: failed or cancelled.
-- Parameters: session_id, turn_id, attempt, status, remembered, error_code, error_detail, agent_digest,
-- model_calls, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_nanodollars,
-- uncounted_calls, unpriced_calls, spent, model_steps, spent_tokens, spent_cost, calls_known.
-- Who cancels has taken a running attempt's place. What that held is lost, since whether the provider was
-- asked cannot be known; unless more is recorded than it had told, and so nothing was under way.
-- What was spent is added up by day, and once: it hangs on the turn that this statement ends. Rows of
-- several models are locked in the order of the names, as by every turn of the user's.
-- The session is locked before the turn: the other order deadlocked with deletion (turn-protocol,
-- section 2).
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = :session_id FOR NO KEY UPDATE),
ended AS (
  UPDATE turns t SET status = :status, remembered = :remembered, ended_at = now(),
         lease_expires_at = NULL, error_code = :error_code, error_detail = :error_detail,
         agent_digest = :agent_digest, model_calls = :model_calls,
         input_tokens = :input_tokens, output_tokens = :output_tokens,
         model_steps = CAST(:model_steps AS jsonb), cached_tokens = :cached_tokens,
         reasoning_tokens = :reasoning_tokens, cost_nanodollars = :cost_nanodollars,
         uncounted_calls = :uncounted_calls, unpriced_calls = :unpriced_calls, held_tokens = 0,
         held_nanodollars = 0,
         lost_tokens = t.lost_tokens + CASE WHEN :status <> 'cancelled'
           OR :calls_known AND :spent_tokens > t.spent_tokens THEN 0 ELSE t.held_tokens END,
         lost_nanodollars = t.lost_nanodollars + CASE WHEN :status <> 'cancelled'
           OR :calls_known AND :spent_tokens > t.spent_tokens THEN 0 ELSE t.held_nanodollars END,
         spent_tokens = CASE WHEN t.budget_day IS NULL THEN 0
           WHEN :status = 'cancelled' THEN greatest(t.spent_tokens, CAST(:spent_tokens AS bigint))
           ELSE CAST(:spent_tokens AS bigint) END,
         spent_nanodollars = CASE WHEN t.budget_day IS NULL THEN 0
           WHEN :status = 'cancelled' THEN greatest(t.spent_nanodollars, CAST(:spent_cost AS bigint))
           ELSE CAST(:spent_cost AS bigint) END
  FROM locked WHERE t.session_id = locked.id AND t.id = :turn_id AND t.attempt = :attempt
    AND t.status = 'running'
  RETURNING t.id, t.user_id, t.agent, t.ended_at),
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
    unpriced_calls = d.unpriced_calls + excluded.unpriced_calls),
touched AS (
  UPDATE sessions x SET last_activity_at = now() FROM ended WHERE x.id = :session_id)
SELECT EXISTS (SELECT FROM turns q WHERE q.session_id = :session_id AND q.status = 'queued') AS more
FROM ended
