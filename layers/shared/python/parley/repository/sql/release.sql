-- Let the next attempt have the turn. Letting go on purpose is no crash: an outage of a store must not
-- use up the attempts.
-- Parameters: turn_id, attempt, crashed.
UPDATE turns SET lease_expires_at = CASE WHEN :crashed THEN now() ELSE '-infinity' END
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id
