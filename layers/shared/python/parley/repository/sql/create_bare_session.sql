-- Make a session without metadata, otherwise as create_session does: most have none, and Postgres takes a fifth longer
-- to read and plan what adds up the others'.
-- Parameters: session_id, user_id, agent, name, platform, key, fingerprint, max_sessions.
WITH excess AS MATERIALIZED (
  SELECT 'user_max_sessions' AS reached, :max_sessions AS most
  WHERE :max_sessions > 0 AND EXISTS (
    SELECT FROM sessions s WHERE s.user_id = :user_id OFFSET greatest(:max_sessions - 1, 0))),
made AS (
  INSERT INTO sessions (id, user_id, agent, name, platform, idempotency_key, fingerprint)
  SELECT :session_id, :user_id, :agent, :name, :platform, :key, CAST(:fingerprint AS bytea)
  WHERE NOT EXISTS (SELECT FROM excess)
  ON CONFLICT DO NOTHING
  RETURNING id, user_id, agent, name, platform, status, status_reason, metadata, memory_from,
            idempotency_key, created_at, updated_at, last_activity_at)
SELECT excess.reached, excess.most, made.*
FROM (SELECT) one LEFT JOIN excess ON true LEFT JOIN made ON true
