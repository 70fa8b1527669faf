-- Complete a turn: its reply, and the voucher for its memory.
-- Parameters: session_id, turn_id, attempt, message_id, reply, agent_digest, model_calls, input_tokens,
-- output_tokens, model_steps, window_from.
-- The session is locked before the turn: the other order deadlocked with deletion (turn-protocol,
-- section 2).
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = :session_id FOR NO KEY UPDATE),
ended AS (
  UPDATE turns t SET status = 'completed', remembered = true, ended_at = now(),
         lease_expires_at = NULL, agent_digest = :agent_digest, model_calls = :model_calls,
         input_tokens = :input_tokens, output_tokens = :output_tokens,
         model_steps = CAST(:model_steps AS jsonb)
  FROM locked WHERE t.session_id = locked.id AND t.id = :turn_id AND t.attempt = :attempt
    AND t.status = 'running'
  RETURNING t.id, t.ended_at),
replied AS (
  INSERT INTO messages (id, turn_id, role, content)
  SELECT :message_id, id, 'assistant', :reply FROM ended
  RETURNING id, created_at),
touched AS (
  UPDATE sessions x SET last_activity_at = now(),
         window_from = greatest(x.window_from, :window_from)
  FROM ended WHERE x.id = :session_id)
SELECT ended.ended_at, replied.id AS message_id, replied.created_at,
  EXISTS (SELECT FROM turns q WHERE q.session_id = :session_id AND q.status = 'queued') AS more
FROM ended JOIN replied ON true
