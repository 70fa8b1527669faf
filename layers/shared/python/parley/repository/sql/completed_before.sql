-- Read what an earlier try of complete.sql wrote, whose answer was lost.
-- Parameters: turn_id, attempt.
SELECT t.ended_at, m.id AS message_id, m.created_at,
  EXISTS (SELECT FROM turns q WHERE q.session_id = t.session_id AND q.status = 'queued') AS more
FROM turns t JOIN messages m ON m.turn_id = t.id AND m.role = 'assistant'
WHERE t.id = :turn_id AND t.attempt = :attempt AND t.status = 'completed'
