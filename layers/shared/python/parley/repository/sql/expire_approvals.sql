-- Let approvals expire that nobody has decided on in time, and turns go on that wait for nothing else.
-- As decide.sql does; sessions are locked in the order of their ids, so that two who do this at once do
-- not wait for each other.
-- Parameters: limit.
WITH found AS MATERIALIZED (
  SELECT a.id, a.turn_id FROM approvals a JOIN turns t ON t.id = a.turn_id
    JOIN sessions s ON s.id = t.session_id
  WHERE a.status = 'open' AND a.expires_at <= now()
  ORDER BY s.id LIMIT :limit
  FOR NO KEY UPDATE OF s),
expired AS (
  UPDATE approvals a SET status = 'expired', decided_at = now()
  FROM found WHERE a.id = found.id AND a.status = 'open'
  RETURNING a.turn_id),
counted AS (
  SELECT turn_id, count(*)::int AS approvals FROM expired GROUP BY turn_id),
turn AS (
  UPDATE turns t SET awaited = t.awaited - c.approvals,
         status = CASE WHEN t.awaited > c.approvals THEN t.status ELSE 'running' END,
         lease_expires_at = CASE WHEN t.awaited > c.approvals THEN NULL
           ELSE '-infinity'::timestamptz END,
         resumed_at = CASE WHEN t.awaited > c.approvals THEN t.resumed_at ELSE now() END,
         woken_at = NULL
  FROM counted c WHERE t.id = c.turn_id AND t.status = 'waiting'
  RETURNING t.id)
SELECT counted.approvals
FROM turn JOIN counted ON counted.turn_id = turn.id
