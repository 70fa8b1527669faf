-- Hold the turn for another lease.
-- Parameters: turn_id, attempt, lease.
UPDATE turns SET lease_expires_at = now() + make_interval(secs => :lease)
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id
