-- End a turn of which Postgres will not take more than that it failed. One row of one table, so it
-- needs no order of locks.
-- Parameters: session_id, turn_id, attempt, status, remembered, error_code, error_detail.
UPDATE turns SET status = :status, remembered = :remembered, ended_at = now(),
       lost_tokens = lost_tokens + held_tokens, held_tokens = 0,
       lost_nanodollars = lost_nanodollars + held_nanodollars, held_nanodollars = 0,
       lease_expires_at = NULL, error_code = :error_code, error_detail = :error_detail
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING EXISTS (
  SELECT FROM turns q WHERE q.session_id = :session_id AND q.status = 'queued') AS more
