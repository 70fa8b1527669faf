-- Decide on an approval that is open, and let its turn go on if that was the last one it waits for.
-- Of many who decide at once one does; the others are given no row. What is past its time has expired,
-- whatever is decided. A turn that goes on is as one that was let go of: whoever comes first has it.
-- The session is locked before the turn and its approvals, as by all that end one (turn-protocol,
-- section 2). Those still awaited are counted in the turn's row: who waited for the lock sees other
-- rows as they were before.
-- Parameters: approval_id, status, decided_by, reason, edited_arguments, digest.
WITH found AS MATERIALIZED (
  SELECT a.id FROM approvals a JOIN turns t ON t.id = a.turn_id JOIN sessions s ON s.id = t.session_id
  WHERE a.id = :approval_id AND a.status = 'open'
  FOR NO KEY UPDATE OF s),
decided AS (
  UPDATE approvals a SET decided_at = now(),
         status = CASE WHEN a.expires_at > now() THEN :status ELSE 'expired' END,
         decided_by = CASE WHEN a.expires_at > now() THEN CAST(:decided_by AS text) END,
         reason = CASE WHEN a.expires_at > now() THEN CAST(:reason AS text) END,
         edited_arguments = CASE WHEN a.expires_at > now() THEN CAST(:edited_arguments AS text) END,
         digest = CASE WHEN a.expires_at > now() THEN coalesce(:digest, a.digest) ELSE a.digest END
  FROM found WHERE a.id = found.id AND a.status = 'open'
  RETURNING a.*),
turn AS (
  UPDATE turns t SET awaited = t.awaited - 1,
         status = CASE WHEN t.awaited > 1 THEN t.status ELSE 'running' END,
         lease_expires_at = CASE WHEN t.awaited > 1 THEN NULL ELSE '-infinity'::timestamptz END,
         resumed_at = CASE WHEN t.awaited > 1 THEN t.resumed_at ELSE now() END, woken_at = NULL
  FROM decided WHERE t.id = decided.turn_id AND t.status = 'waiting'
  RETURNING t.id, t.session_id, t.status)
SELECT decided.*, turn.session_id, turn.status = 'running' AS goes_on
FROM decided JOIN turn ON turn.id = decided.turn_id
