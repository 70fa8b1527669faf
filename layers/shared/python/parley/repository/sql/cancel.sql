-- Cancel a turn: what is queued ends at once; what runs, or waits for something, is taken over for its end
-- to be brought about. Nobody decides any more on what it has asked for.
-- It locks the session before the turn, as all that end a turn do (turn-protocol, section 2).
-- Parameters: session_id, user_id, turn_id, lease, code, detail.
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = :session_id AND user_id = :user_id FOR NO KEY UPDATE),
asked AS (
  UPDATE turns t SET cancel_requested_at = coalesce(t.cancel_requested_at, now()),
         attempt = t.attempt + (t.status <> 'queued')::int,
         lease_expires_at = CASE WHEN t.status <> 'queued'
           THEN now() + make_interval(secs => :lease) END,
         status = CASE t.status WHEN 'queued' THEN 'cancelled' ELSE 'running' END, awaited = 0,
         -- What a running attempt holds is settled by the end that is brought about.
         held_tokens = CASE t.status WHEN 'running' THEN t.held_tokens ELSE 0 END,
         held_nanodollars = CASE t.status WHEN 'running' THEN t.held_nanodollars ELSE 0 END,
         ended_at = CASE WHEN t.status = 'queued' THEN now() END,
         error_code = CASE WHEN t.status = 'queued' THEN :code END,
         error_detail = CASE WHEN t.status = 'queued' THEN :detail END
  FROM locked WHERE t.session_id = locked.id AND t.id = :turn_id
    AND t.status IN ('queued', 'running', 'waiting')
  RETURNING t.*),
closed AS (
  UPDATE approvals a SET status = 'cancelled', decided_at = now()
  FROM asked WHERE a.turn_id = asked.id AND a.status = 'open'),
touched AS (
  UPDATE sessions x SET last_activity_at = now() FROM asked WHERE x.id = asked.session_id)
SELECT asked.id AS turn_id, asked.session_id, asked.user_id, asked.number, asked.status,
  asked.attempt, asked.crashes, asked.agent, asked.created_at, asked.started_at,
  true AS cancel_requested, CASE WHEN asked.waiting_for IS NULL THEN 0 ELSE
    (SELECT count(DISTINCT a.attempt) FROM approvals a WHERE a.turn_id = asked.id) END AS pauses,
  asked.waiting_sequence,
  said.id AS message_id, said.content AS said
FROM asked JOIN messages said ON said.turn_id = asked.id AND said.role = 'user'
