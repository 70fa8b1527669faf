-- Have a summary count from now on, if it is still the one that is being made, by this attempt.
-- Parameters: session_id, user_id, making_id, making_attempt, summary_id, summary_attempt, model_calls,
-- input_tokens, output_tokens.
UPDATE sessions x SET summary_id = CAST(:summary_id AS uuid), summary_attempt = :summary_attempt,
  summary_to = x.summarising_to, summarising_id = NULL,
  summary_made_at = CASE WHEN x.summary_id = CAST(:summary_id AS uuid)
    THEN x.summary_made_at ELSE now() END,
  summarising_attempt = 0, summarising_to = 0, summarising_until = NULL, summarising_failures = 0,
  summary_calls = least(x.summary_calls::bigint + :model_calls, 2147483647),
  summary_input_tokens = x.summary_input_tokens + :input_tokens,
  summary_output_tokens = x.summary_output_tokens + :output_tokens
WHERE x.id = :session_id AND x.user_id = :user_id AND x.summarising_id = :making_id
  AND x.summarising_attempt = :making_attempt AND x.summarising_to >= x.memory_from
RETURNING x.window_from > x.summary_to + 1 AS more
