-- Read what an earlier try of stop.sql wrote, whose answer was lost.
-- Parameters: turn_id, attempt, status, error_code.
SELECT EXISTS (
  SELECT FROM turns q WHERE q.session_id = t.session_id AND q.status = 'queued') AS more
FROM turns t
WHERE t.id = :turn_id AND t.attempt = :attempt AND t.status = :status AND t.error_code = :error_code
