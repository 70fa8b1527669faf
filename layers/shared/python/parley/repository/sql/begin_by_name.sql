-- Begin a turn in the session that has its key, or that name, or was made with that key, or has that
-- id; or in a new one; or say why not.
-- A first message makes its session and its turn in one statement, so a retry finds either both or
-- neither. begin_by_id.sql is the same but for how it finds the session.
-- Parameters: those of begin_by_id.sql, and agent, name, platform, metadata; session_key with
-- session_fingerprint, known_as with known_with, which are null where nothing is known by them;
-- max_sessions, max_metadata_bytes.
WITH prior AS MATERIALIZED (
  SELECT t.* FROM turns t
  WHERE t.user_id = :user_id AND (t.idempotency_key = :key OR t.id = :turn_id)),
-- The key's turn may have been deleted, within the day for which its key is kept.
buried AS MATERIALIZED (
  SELECT b.fingerprint FROM idempotency_tombstones b
  WHERE b.user_id = :user_id AND b.kind = 'turn' AND b.idempotency_key = :key
    AND b.expires_at > now()),
seen AS MATERIALIZED (
  SELECT s.* FROM sessions s WHERE s.user_id = :user_id
    AND (s.id = (SELECT session_id FROM prior)
      OR (NOT EXISTS (SELECT FROM prior)
        AND (s.name = :name OR s.idempotency_key = :session_key
          OR (s.id = :known_as AND s.agent = coalesce(:known_with, s.agent)))))
  ORDER BY s.id = :known_as DESC NULLS LAST LIMIT 1),
-- What the first call is expected to take: as much as each of the turn before was sent, and what is new;
-- and what that costs, if what the agent's model costs was learnt. It is held of what the user may spend,
-- and of what all users together may.
budget AS MATERIALIZED (
  SELECT s.*, d.today, date_trunc('month', d.today)::date AS month, n.sent + :answer_tokens AS tokens,
    coalesce(ceil((n.sent * n.input + :answer_tokens * n.output) / 1000), 0)::bigint AS nanodollars,
    n.input IS NOT NULL AS priced, coalesce(s.deployment_tokens_per_day, s.deployment_tokens_per_month,
      s.deployment_usd_per_day, s.deployment_usd_per_month) IS NOT NULL AS of_all
  FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) d,
    jsonb_to_record(CAST(:limits AS jsonb)) AS s (
      user_tokens_per_day bigint, user_tokens_per_month bigint,
      user_usd_per_day bigint, user_usd_per_month bigint,
      deployment_tokens_per_day bigint, deployment_tokens_per_month bigint,
      deployment_usd_per_day bigint, deployment_usd_per_month bigint),
    LATERAL (
      SELECT :text_tokens + coalesce((
          SELECT t.input_tokens / greatest(t.model_calls, 1) FROM turns t
          JOIN seen ON t.session_id = seen.id AND t.number = seen.next_number - 1), 0) AS sent,
        (r.rate ->> 0)::numeric AS input, (r.rate ->> 1)::numeric AS output
      FROM (SELECT CAST(:rates AS jsonb) -> coalesce((SELECT agent FROM seen), :agent) AS rate) r) n
  WHERE CAST(:limits AS jsonb) <> '{}'
    OR EXISTS (SELECT FROM user_budgets b WHERE b.user_id = :user_id)),
bounds AS MATERIALIZED (
  SELECT l.reached, l.most, CASE WHEN l.day >= l.since THEN l.counted ELSE 0 END AS used, l.more,
    l.since, (l.since + l.span)::timestamptz AS ends
  FROM budget x LEFT JOIN user_limits u ON u.user_id = :user_id
  LEFT JOIN user_budgets b ON b.user_id = :user_id LEFT JOIN deployment_spending p ON x.of_all
  CROSS JOIN LATERAL (VALUES
    ('user_tokens_per_month', coalesce(b.tokens_per_month, x.user_tokens_per_month),
      u.day, u.month_tokens, x.tokens, x.month, interval '1 month'),
    ('user_tokens_per_day', coalesce(b.tokens_per_day, x.user_tokens_per_day),
      u.day, u.day_tokens, x.tokens, x.today, interval '1 day'),
    ('user_usd_per_month', coalesce(b.nanodollars_per_month, x.user_usd_per_month),
      u.day, u.month_nanodollars, x.nanodollars, x.month, interval '1 month'),
    ('user_usd_per_day', coalesce(b.nanodollars_per_day, x.user_usd_per_day),
      u.day, u.day_nanodollars, x.nanodollars, x.today, interval '1 day'),
    ('deployment_tokens_per_month', x.deployment_tokens_per_month,
      p.day, p.month_tokens, x.tokens, x.month, interval '1 month'),
    ('deployment_tokens_per_day', x.deployment_tokens_per_day,
      p.day, p.day_tokens, x.tokens, x.today, interval '1 day'),
    ('deployment_usd_per_month', x.deployment_usd_per_month,
      p.day, p.month_nanodollars, x.nanodollars, x.month, interval '1 month'),
    ('deployment_usd_per_day', x.deployment_usd_per_day,
      p.day, p.day_nanodollars, x.nanodollars, x.today, interval '1 day')
  ) AS l (reached, most, day, counted, more, since, span)
  WHERE l.most IS NOT NULL),
-- Which of them has no room. What turns hold that run, or wait to, comes back when their calls are over;
-- not what an attempt holds that died.
narrow AS MATERIALIZED (
  SELECT b.*, CASE WHEN b.reached LIKE 'deployment%'
    THEN parley_held_of_all(b.since, b.reached LIKE '%usd%')
    ELSE (
      SELECT coalesce(sum(CASE WHEN b.reached LIKE '%usd%' THEN t.held_nanodollars
        ELSE t.held_tokens END), 0)::bigint
      FROM turns t WHERE t.user_id = :user_id AND t.status IN ('queued', 'running')
        AND t.budget_day >= b.since AND (t.status = 'queued' OR t.lease_expires_at >= now()))
    END AS held
  FROM bounds b WHERE b.used + b.more > b.most OR b.most = 0),
-- What the user has reached of what one may have. No other begin of the same user goes on meanwhile, so
-- nothing is missing in what is counted (OfUser.alone). It may have waited for them since the
-- transaction began, which now() would tell.
excess AS MATERIALIZED (
  SELECT 'user_max_open_turns' AS reached, :max_open_turns AS most, NULL::float AS renews,
    NULL::bigint AS used, NULL::timestamptz AS ends, NULL::bigint AS held, NULL::bigint AS expected
  WHERE :max_open_turns > 0 AND EXISTS (
    SELECT FROM turns t WHERE t.user_id = :user_id AND t.status IN ('queued', 'running', 'waiting')
    OFFSET greatest(:max_open_turns - 1, 0))
  UNION ALL
  SELECT 'user_turns_per_minute', :turns_per_minute,
    extract(epoch FROM u.begun_at[:turns_per_minute] + interval '1 minute' - clock_timestamp())::float,
    NULL, NULL, NULL, NULL
  FROM user_limits u WHERE u.user_id = :user_id AND :turns_per_minute > 0
    AND u.begun_at[:turns_per_minute] > clock_timestamp() - interval '1 minute'
    AND u.begun_at[:turns_per_minute] <= clock_timestamp()
  UNION ALL
  SELECT 'user_max_sessions', :max_sessions, NULL, NULL, NULL, NULL, NULL
  WHERE :max_sessions > 0 AND NOT EXISTS (SELECT FROM seen) AND EXISTS (
    SELECT FROM sessions s WHERE s.user_id = :user_id OFFSET greatest(:max_sessions - 1, 0))
  UNION ALL
  SELECT 'user_max_metadata_bytes', :max_metadata_bytes, NULL, NULL, NULL, NULL, NULL
  WHERE :max_metadata_bytes > 0 AND NOT EXISTS (SELECT FROM seen)
    AND CAST(:metadata AS jsonb) <> '{}'
    AND octet_length(CAST(:metadata AS jsonb)::text) + (
      SELECT coalesce(sum(octet_length(s.metadata::text)), 0) FROM sessions s
      WHERE s.user_id = :user_id AND s.metadata <> '{}') > :max_metadata_bytes
  UNION ALL
  SELECT 'user_max_streams', :max_streams, p.frees, NULL, NULL, NULL, NULL
  FROM (
    SELECT count(*) AS taken, min(s.value::float) - extract(epoch FROM clock_timestamp()) AS frees
    FROM user_limits u CROSS JOIN jsonb_each(u.streams) s
    WHERE u.user_id = :user_id AND CAST(:stream AS text) IS NOT NULL AND s.key <> :stream
      AND s.value::float > extract(epoch FROM clock_timestamp())) p
  WHERE p.taken > 0 AND p.taken >= :max_streams
  UNION ALL
  (SELECT reached, most, CASE WHEN more > most OR most = 0 THEN NULL
      WHEN used - held + more <= most
      THEN least(CAST(:held_pause AS float), extract(epoch FROM ends - clock_timestamp()))
      ELSE extract(epoch FROM ends - clock_timestamp()) END::float AS renews,
    used, ends, held, more
  -- First what never fits, then what takes longest.
  FROM narrow ORDER BY renews DESC NULLS FIRST LIMIT 1)
  LIMIT 1),
-- Nothing of the key or the name is there: the session is made here.
opened AS (
  INSERT INTO sessions (id, user_id, agent, name, platform, metadata, idempotency_key, fingerprint,
                        next_number)
  SELECT :session_id, :user_id, :agent, :name, :platform, CAST(:metadata AS jsonb), :session_key,
         CAST(:session_fingerprint AS bytea), 2
  WHERE NOT EXISTS (SELECT FROM prior) AND NOT EXISTS (SELECT FROM seen)
    AND NOT EXISTS (SELECT FROM buried) AND NOT EXISTS (SELECT FROM excess)
  ON CONFLICT DO NOTHING
  RETURNING id, agent),
-- The open turn of the lowest number. Its lease is over if it has run out, or is further away than a
-- lease can be: the database's clock was set back then.
head AS MATERIALIZED (
  SELECT t.*, t.status = 'running' AND (t.lease_expires_at < now()
           OR t.lease_expires_at > now() + make_interval(secs => 2 * :lease)) AS expired
  FROM turns t JOIN seen ON t.session_id = seen.id
  WHERE t.status IN ('queued', 'running', 'waiting') ORDER BY t.number LIMIT 1),
waiting AS MATERIALIZED (
  SELECT count(*) AS turns FROM turns t JOIN seen ON t.session_id = seen.id
  WHERE t.status = 'queued'),
-- Who only queues a turn takes nothing over: a head whose lease has run out is left to the worker that
-- is woken for it, and is not in the way if nothing waits behind it.
line AS MATERIALIZED (
  SELECT :enqueue AND (:behind_waiting OR head.status <> 'waiting')
      OR :queue AND head.expired AND waiting.turns = 0 AS joined
  FROM head, waiting),
-- Its attempt died: who begins takes it over. '-infinity' is a lease that was let go of, no crash.
taken AS (
  UPDATE turns t SET attempt = t.attempt + 1,
         lease_expires_at = now() + make_interval(secs => :lease),
         crashes = t.crashes
           + (t.lease_expires_at > '-infinity' AND t.lease_expires_at < now())::int,
         lost_tokens = t.lost_tokens + t.held_tokens, held_tokens = 0,
         lost_nanodollars = t.lost_nanodollars + t.held_nanodollars, held_nanodollars = 0
  FROM head WHERE t.id = head.id AND t.attempt = head.attempt
    AND t.status = 'running' AND NOT :queue
    AND (t.lease_expires_at < now()
      OR t.lease_expires_at > now() + make_interval(secs => 2 * :lease))
    AND NOT EXISTS (
      SELECT FROM prior
      WHERE fingerprint <> ALL(CAST(:fingerprints AS bytea[])) OR ended_at IS NOT NULL)
  RETURNING t.*),
-- The number, by compare-and-set: a waiter on ON CONFLICT keeps its old snapshot and would learn
-- neither the running turn nor the earlier one.
bumped AS (
  UPDATE sessions x SET next_number = x.next_number + 1, last_activity_at = now()
  FROM seen WHERE x.id = seen.id AND x.next_number = seen.next_number
    AND x.user_id = seen.user_id
    AND x.memory_from = seen.memory_from AND x.status = 'active' AND NOT EXISTS (SELECT FROM prior)
    AND NOT EXISTS (SELECT FROM excess)
    AND (NOT EXISTS (SELECT FROM head)
      OR ((SELECT joined FROM line) AND (:queue OR NOT (SELECT expired FROM head))
        AND (SELECT turns FROM waiting) < :max_queued))
  RETURNING x.id, x.agent, seen.next_number AS number),
numbered AS (
  SELECT id, agent, number FROM bumped UNION ALL SELECT id, agent, 1 FROM opened),
-- Made at a moment behind what was seen: the turn before may have ended since the transaction began,
-- which now() would tell.
made AS (
  INSERT INTO turns (id, session_id, user_id, number, agent, idempotency_key, fingerprint,
                     request_id, status, attempt, lease_expires_at, created_at, started_at,
                     budget_day, held_tokens, held_nanodollars, for_deployment)
  SELECT :turn_id, n.id, :user_id, n.number, n.agent, :key, :fingerprint,
         :request_id, CASE WHEN q.queued THEN 'queued' ELSE 'running' END,
         CASE WHEN q.queued THEN 0 ELSE 1 END,
         CASE WHEN NOT q.queued THEN now() + make_interval(secs => :lease) END,
         q.moment, CASE WHEN NOT q.queued THEN q.moment END,
         (SELECT today FROM budget), coalesce((SELECT tokens FROM budget), 0),
         coalesce((SELECT nanodollars FROM budget), 0),
         -- Of two that begin at once each sees the deployment's as it was: what counts the turn is told
         -- the limits, and refuses the second.
         coalesce((SELECT x.of_all AND set_config('parley.limits', CAST(:limits AS jsonb)::text, true) <> ''
           FROM budget x), false)
  FROM numbered n, (SELECT :queue OR EXISTS (SELECT FROM head) AS queued,
                           clock_timestamp() AS moment) q
  RETURNING *),
said AS (
  INSERT INTO messages (id, turn_id, role, content, created_at)
  SELECT :message_id, id, 'user', :text, created_at FROM made),
-- When the user began the last turns, the newest first; and the place of the stream that tells this one,
-- whose process this is from now on.
counted AS (
  INSERT INTO user_limits AS u (user_id, begun_at, streams)
  SELECT :user_id, n.begun, CASE WHEN CAST(:stream AS text) IS NULL THEN '{}'
    ELSE jsonb_build_object(CAST(:stream AS text),
      extract(epoch FROM clock_timestamp()) + CAST(:stream_seconds AS float)) END
  FROM (
    SELECT CASE WHEN :turns_per_minute > 0 THEN ARRAY[created_at] ELSE '{}' END AS begun FROM made
    UNION ALL SELECT '{}' FROM taken) n
  WHERE n.begun <> '{}' OR CAST(:stream AS text) IS NOT NULL
  ON CONFLICT (user_id) DO UPDATE
    SET begun_at = (excluded.begun_at || u.begun_at)[1: :turns_per_minute],
      streams = excluded.streams || coalesce((
        SELECT jsonb_object_agg(s.key, s.value) FROM jsonb_each(u.streams) s
        WHERE s.key <> coalesce(:stream, '')
          AND s.value::float > extract(epoch FROM clock_timestamp())), '{}'))
SELECT CASE
    WHEN made.id IS NOT NULL THEN made.status
    WHEN prior.fingerprint <> ALL(CAST(:fingerprints AS bytea[])) THEN 'key_reused'
    WHEN EXISTS (SELECT FROM buried) THEN CASE
      WHEN (SELECT fingerprint FROM buried) <> ALL(CAST(:fingerprints AS bytea[]))
      THEN 'key_reused' ELSE 'not_found' END
    WHEN seen.id IS NULL AND excess.reached IS NULL THEN 'again'
    WHEN taken.id IS NOT NULL THEN 'resume'
    WHEN head.expired AND prior.ended_at IS NULL AND NOT :queue THEN 'again'
    WHEN prior.id IS NOT NULL THEN 'prior'
    WHEN seen.status <> 'active' THEN 'not_active'
    WHEN NOT line.joined THEN 'busy'
    WHEN waiting.turns >= :max_queued THEN 'queue_full'
    WHEN excess.reached IS NOT NULL THEN 'limit_reached'
    ELSE 'again' END AS outcome,
  coalesce(made.session_id, taken.session_id, prior.session_id, seen.id) AS session_id,
  seen.status AS session_status, excess.reached, excess.most, excess.renews,
  excess.used, excess.ends, excess.held, excess.expected,
  coalesce(made.id, taken.id, prior.id, head.id) AS turn_id,
  coalesce(made.id, prior.id) AS own_turn_id,
  coalesce(made.number, taken.number, prior.number, head.number) AS number,
  coalesce(made.attempt, taken.attempt, prior.attempt, head.attempt) AS attempt,
  coalesce(taken.crashes, 0) AS crashes,
  taken.cancel_requested_at IS NOT NULL AS cancel_requested,
  CASE WHEN taken.waiting_for IS NULL THEN 0 ELSE
    (SELECT count(DISTINCT a.attempt) FROM approvals a WHERE a.turn_id = taken.id) END AS pauses,
  taken.waiting_sequence,
  coalesce(made.status, taken.status, prior.status, head.status) AS status,
  coalesce(made.agent, taken.agent, prior.agent, head.agent) AS agent,
  coalesce(made.created_at, taken.created_at, prior.created_at) AS created_at,
  coalesce(made.started_at, taken.started_at, prior.started_at) AS started_at,
  said_before.id AS said_before_id, said_before.content AS said_before,
  coalesce((SELECT json_agg(json_build_array(w.number, w.attempt, w.id)) FROM (
     SELECT t.number, t.attempt, t.id FROM turns t
     WHERE t.session_id = seen.id AND t.remembered
       AND t.number >= greatest(seen.memory_from, seen.window_from)
       AND t.number < coalesce(made.number, taken.number, prior.number)
     ORDER BY t.number DESC LIMIT :window) w), '[]') AS remembered,
  CASE WHEN seen.summary_to >= seen.memory_from THEN seen.summary_id END AS summary_id,
  seen.summary_attempt, EXISTS (SELECT FROM budget) AS has_budget,
  EXISTS (SELECT FROM bounds WHERE reached LIKE '%usd%') AS counts_money,
  -- Of what waited, it was expected before the turns ahead of it were over.
  CASE WHEN coalesce(made.held_nanodollars, prior.held_nanodollars) > 0
      OR coalesce((SELECT priced FROM budget), true)
      OR NOT EXISTS (SELECT FROM bounds WHERE reached LIKE '%usd%')
    THEN coalesce(made.held_tokens, prior.held_tokens) END AS first_held,
  seen.window_from > greatest(seen.memory_from, seen.summary_to + 1)
    AND coalesce(seen.summarising_until < now(), true) AS summary_due,
  CASE WHEN coalesce(made.status, prior.status) = 'queued' THEN (
    SELECT count(*) FROM turns t WHERE t.session_id = seen.id AND t.status = 'queued'
      AND t.number < coalesce(made.number, prior.number)) END AS ahead,
  coalesce(made.status, prior.status) = 'queued' AND head.status = 'waiting' AS behind_waiting,
  CASE WHEN coalesce(made.status, prior.status) = 'queued' THEN (
    SELECT extract(epoch FROM min(w.ended_at - w.started_at))::float FROM (
      SELECT t.started_at, t.ended_at FROM turns t
      WHERE t.session_id = seen.id AND t.number < head.number AND t.status = 'completed'
      ORDER BY t.number DESC LIMIT :pace_turns) w) END AS pace
FROM (SELECT) one LEFT JOIN seen ON true LEFT JOIN prior ON true LEFT JOIN head ON true
  LEFT JOIN taken ON true LEFT JOIN made ON true LEFT JOIN waiting ON true
  LEFT JOIN line ON true LEFT JOIN excess ON true
  LEFT JOIN messages said_before
    ON said_before.turn_id = CASE WHEN taken.id IS NOT NULL THEN taken.id ELSE prior.id END
    AND said_before.role = 'user'
