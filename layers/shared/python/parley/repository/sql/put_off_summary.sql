-- Leave a summary that could not be made for a while, longer after each failure.
-- Parameters: session_id, user_id, making_id, making_attempt, pause, longest, model_calls, input_tokens,
-- output_tokens.
UPDATE sessions x SET summarising_failures = least(x.summarising_failures, 1000) + 1,
  summarising_until = now() + make_interval(
    secs => least(:pause * 2.0 ^ least(x.summarising_failures, 30), :longest)),
  summary_calls = least(x.summary_calls::bigint + :model_calls, 2147483647),
  summary_input_tokens = x.summary_input_tokens + :input_tokens,
  summary_output_tokens = x.summary_output_tokens + :output_tokens
WHERE x.id = :session_id AND x.user_id = :user_id AND x.summarising_id = :making_id
  AND x.summarising_attempt = :making_attempt
RETURNING x.summarising_failures AS failures,
  extract(epoch FROM x.summarising_until - now())::float AS pause
