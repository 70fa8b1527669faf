-- Take the head of a session's queue for a worker, or say why not.
-- Who begins a turn again whose answer was lost knows it by having been started when it was made; a turn
-- that waited is always started later. It starts when it is taken: the turn before it may have ended
-- since this transaction began, which now() would tell.
-- Parameters: session_id, lease, window, code, detail.
WITH head AS MATERIALIZED (
  SELECT t.id, t.session_id, t.user_id, t.attempt, t.status, t.lease_expires_at,
         t.status = 'running' AND NOT (t.lease_expires_at < now()
           OR t.lease_expires_at > now() + make_interval(secs => 2 * :lease)) AS held
  FROM turns t WHERE t.session_id = :session_id AND t.status IN ('queued', 'running', 'waiting')
  ORDER BY t.number LIMIT 1),
-- Locked before the turn, as by all that end one (turn-protocol, section 2), and only if there is
-- something to take.
locked AS MATERIALIZED (
  SELECT s.id, s.status, greatest(s.memory_from, s.window_from) AS shown_from,
         CASE WHEN s.summary_to >= s.memory_from THEN s.summary_id END AS summary_id,
         s.summary_attempt,
         s.window_from > greatest(s.memory_from, s.summary_to + 1)
           AND coalesce(s.summarising_until < now(), true) AS summary_due
  FROM sessions s
  WHERE s.id = (SELECT session_id FROM head WHERE NOT held AND status <> 'waiting')
  FOR NO KEY UPDATE),
-- What was read of the head is held against the row again when that is locked; who loses runs the
-- statement again.
claimed AS (
  UPDATE turns t SET status = 'running', attempt = t.attempt + 1,
         lease_expires_at = now() + make_interval(secs => :lease),
         crashes = t.crashes + coalesce(
           t.lease_expires_at > '-infinity' AND t.lease_expires_at < now(), false)::int,
         lost_tokens = t.lost_tokens + CASE t.status WHEN 'running' THEN t.held_tokens ELSE 0 END,
         held_tokens = CASE t.status WHEN 'running' THEN 0 ELSE t.held_tokens END,
         lost_nanodollars = t.lost_nanodollars
           + CASE t.status WHEN 'running' THEN t.held_nanodollars ELSE 0 END,
         held_nanodollars = CASE t.status WHEN 'running' THEN 0 ELSE t.held_nanodollars END,
         started_at = coalesce(t.started_at,
           greatest(clock_timestamp(), t.created_at + interval '1 microsecond'))
  FROM head JOIN locked ON locked.id = head.session_id
  WHERE t.id = head.id AND t.attempt = head.attempt AND t.status = head.status
    AND CASE t.status WHEN 'queued' THEN locked.status = 'active'
        ELSE t.lease_expires_at < now()
          OR t.lease_expires_at > now() + make_interval(secs => 2 * :lease) END
  RETURNING t.*),
refused AS (
  UPDATE turns t SET status = 'failed', ended_at = now(),
         error_code = :code, error_detail = :detail, held_tokens = 0,
         held_nanodollars = 0
  FROM head JOIN locked ON locked.id = head.session_id
  WHERE t.id = head.id AND t.status = 'queued' AND locked.status <> 'active'
  RETURNING t.id, t.session_id),
touched AS (
  UPDATE sessions x SET last_activity_at = now() FROM refused WHERE x.id = refused.session_id)
SELECT CASE
    WHEN claimed.id IS NOT NULL THEN 'claimed'
    WHEN refused.id IS NOT NULL THEN 'refused'
    WHEN head.id IS NULL THEN 'none'
    WHEN head.held THEN 'held'
    WHEN head.status = 'waiting' THEN 'waiting'
    ELSE 'again' END AS outcome,
  CASE WHEN head.held THEN extract(epoch FROM head.lease_expires_at - now())::float END AS "left",
  head.user_id AS head_user_id,
  claimed.id AS turn_id, claimed.session_id, claimed.user_id, claimed.number, claimed.attempt,
  claimed.crashes, claimed.agent, claimed.created_at, claimed.started_at,
  claimed.cancel_requested_at IS NOT NULL AS cancel_requested,
  CASE WHEN claimed.waiting_for IS NULL THEN 0 ELSE
    (SELECT count(DISTINCT a.attempt) FROM approvals a WHERE a.turn_id = claimed.id) END AS pauses,
  claimed.waiting_sequence,
  said.id AS message_id, said.content AS said,
  locked.summary_id, locked.summary_attempt, locked.summary_due,
  claimed.budget_day IS NOT NULL
    OR EXISTS (SELECT FROM user_budgets b WHERE b.user_id = claimed.user_id) AS has_budget,
  EXISTS (SELECT FROM user_budgets b WHERE b.user_id = claimed.user_id
    AND coalesce(b.nanodollars_per_day, b.nanodollars_per_month) IS NOT NULL) AS counts_money,
  coalesce((SELECT json_agg(json_build_array(w.number, w.attempt, w.id)) FROM (
     SELECT t.number, t.attempt, t.id FROM turns t
     WHERE t.session_id = claimed.session_id AND t.remembered AND t.number >= locked.shown_from
       AND t.number < claimed.number
     ORDER BY t.number DESC LIMIT :window) w), '[]') AS remembered
FROM (SELECT) one LEFT JOIN head ON true LEFT JOIN locked ON true
  LEFT JOIN claimed ON true LEFT JOIN refused ON true
  LEFT JOIN messages said ON said.turn_id = claimed.id AND said.role = 'user'
