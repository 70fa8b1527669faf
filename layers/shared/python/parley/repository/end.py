"""The statements that end, keep or let go of a running turn; each names the attempt.

All lock the session before the turn: the other order deadlocked with deletion (turn-protocol,
section 2).
"""

from __future__ import annotations

from sqlalchemy import text

COMPLETE = text("""
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = :session_id FOR NO KEY UPDATE),
ended AS (
  UPDATE turns t SET status = 'completed', remembered = true, ended_at = now(),
         lease_expires_at = NULL, agent_digest = :agent_digest, model_calls = :model_calls,
         input_tokens = :input_tokens, output_tokens = :output_tokens
  FROM locked WHERE t.session_id = locked.id AND t.id = :turn_id AND t.attempt = :attempt
    AND t.status = 'running'
  RETURNING t.id, t.ended_at),
replied AS (
  INSERT INTO messages (id, turn_id, role, content)
  SELECT :message_id, id, 'assistant', :reply FROM ended
  RETURNING id, created_at),
touched AS (
  UPDATE sessions x SET last_activity_at = now() FROM ended WHERE x.id = :session_id)
SELECT ended.ended_at, replied.id AS message_id, replied.created_at,
  EXISTS (SELECT FROM turns q WHERE q.session_id = :session_id AND q.status = 'queued') AS more
FROM ended JOIN replied ON true
""")

# What an earlier try of either statement wrote, whose answer was lost.
COMPLETED_BEFORE = text("""
SELECT t.ended_at, m.id AS message_id, m.created_at,
  EXISTS (SELECT FROM turns q WHERE q.session_id = t.session_id AND q.status = 'queued') AS more
FROM turns t JOIN messages m ON m.turn_id = t.id AND m.role = 'assistant'
WHERE t.id = :turn_id AND t.attempt = :attempt AND t.status = 'completed'
""")

STOPPED_BEFORE = text("""
SELECT EXISTS (
  SELECT FROM turns q WHERE q.session_id = t.session_id AND q.status = 'queued') AS more
FROM turns t
WHERE t.id = :turn_id AND t.attempt = :attempt AND t.status = :status AND t.error_code = :error_code
""")

STOP = text("""
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = :session_id FOR NO KEY UPDATE),
ended AS (
  UPDATE turns t SET status = :status, remembered = :remembered, ended_at = now(),
         lease_expires_at = NULL, error_code = :error_code, error_detail = :error_detail,
         agent_digest = :agent_digest, model_calls = :model_calls,
         input_tokens = :input_tokens, output_tokens = :output_tokens
  FROM locked WHERE t.session_id = locked.id AND t.id = :turn_id AND t.attempt = :attempt
    AND t.status = 'running'
  RETURNING t.id),
touched AS (
  UPDATE sessions x SET last_activity_at = now() FROM ended WHERE x.id = :session_id)
SELECT EXISTS (SELECT FROM turns q WHERE q.session_id = :session_id AND q.status = 'queued') AS more
FROM ended
""")

# One row of one table, so it needs no order of locks.
STOP_BARELY = text("""
UPDATE turns SET status = :status, remembered = :remembered, ended_at = now(),
       lease_expires_at = NULL, error_code = :error_code, error_detail = :error_detail
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING EXISTS (
  SELECT FROM turns q WHERE q.session_id = :session_id AND q.status = 'queued') AS more
""")

# It waits for a tool's transaction that holds the row, which is committed before.
FENCE = text("""
UPDATE turns SET attempt = attempt + 1, lease_expires_at = now() + make_interval(secs => :lease)
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id
""")

RENEW = text("""
UPDATE turns SET lease_expires_at = now() + make_interval(secs => :lease)
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id
""")

# Letting go on purpose is not a crash: an outage of a store must not use up the attempts.
RELEASE = text("""
UPDATE turns SET lease_expires_at = CASE WHEN :crashed THEN now() ELSE '-infinity' END
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id
""")
