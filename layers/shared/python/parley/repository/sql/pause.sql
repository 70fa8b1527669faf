-- Let a turn wait for decisions: nobody holds it any more, and what it asks for is written down.
-- The attempt's number is used up, so that nothing which still runs of it has effect when the turn goes
-- on: it would be running again, under the same number.
-- The session is locked before the turn, as by all that end one (turn-protocol, section 2).
-- Parameters: session_id, turn_id, attempt, waiting_for, waiting_sequence, spent_tokens, spent_cost,
-- expires_in, asked.
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = :session_id FOR NO KEY UPDATE),
paused AS (
  UPDATE turns t SET status = 'waiting', waiting_for = :waiting_for, attempt = t.attempt + 1,
         waiting_sequence = :waiting_sequence,
         awaited = jsonb_array_length(CAST(:asked AS jsonb)), lease_expires_at = NULL,
         held_tokens = 0, held_nanodollars = 0,
         spent_tokens = CASE WHEN t.budget_day IS NULL THEN 0 ELSE CAST(:spent_tokens AS bigint) END,
         spent_nanodollars =
           CASE WHEN t.budget_day IS NULL THEN 0 ELSE CAST(:spent_cost AS bigint) END
  FROM locked WHERE t.session_id = locked.id AND t.id = :turn_id AND t.attempt = :attempt
    AND t.status = 'running'
  RETURNING t.id, t.user_id),
touched AS (
  UPDATE sessions x SET last_activity_at = now() FROM paused WHERE x.id = :session_id)
INSERT INTO approvals (id, turn_id, user_id, attempt, call_id, agent, tool, arguments, digest,
  decider, editable, arguments_schema, expires_at)
SELECT a.id, paused.id, paused.user_id, :attempt, a.call_id, a.agent, a.tool, a.arguments, a.digest,
  a.decider, a.editable, a.arguments_schema, now() + make_interval(secs => :expires_in)
FROM paused, jsonb_to_recordset(CAST(:asked AS jsonb)) AS a(id uuid, call_id text, agent text,
  tool text, arguments text, digest text, decider text, editable boolean, arguments_schema jsonb)
RETURNING *
