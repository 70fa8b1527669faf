-- Make a session that has metadata (create_bare_session: one that has none), or say which limit of the user's is in
-- the way; neither, if its id, key or name is there.
-- No other that counts the user's sessions goes on meanwhile (OfUser.alone).
-- Parameters: session_id, user_id, agent, name, platform, metadata, key, fingerprint, max_sessions,
-- max_metadata_bytes.
WITH excess AS MATERIALIZED (
  SELECT 'user_max_sessions' AS reached, :max_sessions AS most
  WHERE :max_sessions > 0 AND EXISTS (
    SELECT FROM sessions s WHERE s.user_id = :user_id OFFSET greatest(:max_sessions - 1, 0))
  UNION ALL
  SELECT 'user_max_metadata_bytes', :max_metadata_bytes
  WHERE :max_metadata_bytes > 0
    AND octet_length(CAST(:metadata AS jsonb)::text) + (
      SELECT coalesce(sum(octet_length(s.metadata::text)), 0) FROM sessions s
      WHERE s.user_id = :user_id AND s.metadata <> '{}') > :max_metadata_bytes
  LIMIT 1),
made AS (
  INSERT INTO sessions (id, user_id, agent, name, platform, metadata, idempotency_key, fingerprint)
  SELECT :session_id, :user_id, :agent, :name, :platform, CAST(:metadata AS jsonb), :key, CAST(:fingerprint AS bytea)
  WHERE NOT EXISTS (SELECT FROM excess)
  ON CONFLICT DO NOTHING
  RETURNING id, user_id, agent, name, platform, status, status_reason, metadata, memory_from,
            idempotency_key, created_at, updated_at, last_activity_at)
SELECT excess.reached, excess.most, made.*
FROM (SELECT) one LEFT JOIN excess ON true LEFT JOIN made ON true
