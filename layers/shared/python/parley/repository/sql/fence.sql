-- Make the turn the next attempt's, held by the same process. It waits for a tool's transaction that
-- holds the row, which is committed before.
-- Parameters: turn_id, attempt, lease.
UPDATE turns SET attempt = attempt + 1, lease_expires_at = now() + make_interval(secs => :lease)
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id
