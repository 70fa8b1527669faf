-- Take the making of a session's next summary, or find that there is none to make.
-- The turns that it is of are those that the window has left behind and no summary covers, the oldest
-- first, as many as come to no more than max_bytes. How far one of an id reaches never changes: who takes
-- over one whose maker died finds what that had made, if it had.
-- Nothing is locked: a summary whose session has changed since it was looked at is looked at again, with
-- all turns that the window had left behind by then.
-- Where a budget of the user's, or of all users, is used up none is begun: a later turn wakes somebody
-- for it. Where as many are made as may be at a time, this one is left for a while.
-- Parameters: session_id, agents, summary_id, lease, longest, turns, max_bytes, mine, my_attempt, limits,
-- place, at_once, wait.
WITH seen AS MATERIALIZED (
  SELECT s.*, greatest(s.memory_from, s.summary_to + 1) AS due_from FROM sessions s
  WHERE s.id = :session_id AND s.status = 'active' AND s.agent = ANY(CAST(:agents AS text[]))),
bounds AS MATERIALIZED (
  SELECT l.reached, CASE WHEN l.day >= l.since THEN l.counted ELSE 0 END >= l.most AS used_up
  FROM seen CROSS JOIN (SELECT m.today, date_trunc('month', m.today)::date AS month
    FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) m) d
  CROSS JOIN jsonb_to_record(CAST(:limits AS jsonb)) AS s (
      user_tokens_per_day bigint, user_tokens_per_month bigint,
      user_usd_per_day bigint, user_usd_per_month bigint,
      deployment_tokens_per_day bigint, deployment_tokens_per_month bigint,
      deployment_usd_per_day bigint, deployment_usd_per_month bigint)
  LEFT JOIN user_limits u ON u.user_id = seen.user_id
  LEFT JOIN user_budgets b ON b.user_id = seen.user_id LEFT JOIN deployment_spending p ON true
  CROSS JOIN LATERAL (VALUES
    ('user_tokens', coalesce(b.tokens_per_month, s.user_tokens_per_month),
      u.day, u.month_tokens, d.month),
    ('user_tokens', coalesce(b.tokens_per_day, s.user_tokens_per_day),
      u.day, u.day_tokens, d.today),
    ('user_usd', coalesce(b.nanodollars_per_month, s.user_usd_per_month),
      u.day, u.month_nanodollars, d.month),
    ('user_usd', coalesce(b.nanodollars_per_day, s.user_usd_per_day),
      u.day, u.day_nanodollars, d.today),
    ('deployment_tokens', s.deployment_tokens_per_month, p.day, p.month_tokens, d.month),
    ('deployment_tokens', s.deployment_tokens_per_day, p.day, p.day_tokens, d.today),
    ('deployment_usd', s.deployment_usd_per_month, p.day, p.month_nanodollars, d.month),
    ('deployment_usd', s.deployment_usd_per_day, p.day, p.day_nanodollars, d.today)
  ) AS l (reached, most, day, counted, since)
  WHERE l.most IS NOT NULL),
-- Nobody holds it, or the one who asks does, who then begins another that reaches less far. A lease or a
-- pause that is further away than it can be is of a clock that was set back.
due AS MATERIALIZED (
  SELECT seen.*, coalesce(seen.summarising_to >= seen.due_from AND NOT q.narrower, false) AS goes_on
  FROM seen, (SELECT CAST(:mine AS uuid) IS NOT NULL AS narrower) q
  WHERE seen.window_from > seen.due_from AND CASE WHEN q.narrower
    THEN seen.summarising_id = CAST(:mine AS uuid) AND seen.summarising_attempt = :my_attempt
    ELSE (seen.summarising_until IS NULL OR seen.summarising_until < now()
        OR seen.summarising_until > now() + make_interval(secs => :longest))
      AND NOT EXISTS (SELECT FROM bounds WHERE used_up) END),
dropped AS MATERIALIZED (
  SELECT t.id, t.number, t.error_detail FROM due JOIN turns t ON t.session_id = due.id
  WHERE t.remembered AND t.number >= due.due_from AND t.number < due.window_from
  ORDER BY t.number LIMIT :turns + 1),
sized AS MATERIALIZED (
  SELECT d.number, row_number() OVER older AS place, sum(coalesce(octet_length(d.error_detail), 0)
    + (SELECT coalesce(sum(octet_length(m.content)), 0) FROM messages m WHERE m.turn_id = d.id))
    OVER older AS bytes
  FROM dropped d WINDOW older AS (ORDER BY d.number)),
fitting AS MATERIALIZED (
  SELECT number FROM sized WHERE place = 1 OR (place <= :turns AND bytes <= :max_bytes)),
reach AS MATERIALIZED (
  SELECT CASE WHEN due.goes_on THEN due.summarising_to
    WHEN (SELECT count(*) FROM fitting) < (SELECT count(*) FROM sized)
    THEN (SELECT max(number) FROM fitting)
    ELSE due.window_from - 1 END AS number
  FROM due),
placed AS MATERIALIZED (
  SELECT CASE WHEN CAST(:at_once AS integer) > 0
    THEN parley_take_summary_place(CAST(:place AS uuid), CAST(:at_once AS integer), :lease)
    ELSE true END AS free
  FROM due),
taken AS (
  UPDATE sessions x SET
    summarising_to = CASE WHEN placed.free THEN reach.number ELSE x.summarising_to END,
    summarising_id = CASE WHEN due.goes_on OR NOT placed.free THEN x.summarising_id ELSE :summary_id END,
    summarising_attempt = CASE WHEN due.goes_on OR NOT placed.free THEN x.summarising_attempt ELSE 0 END
      + CASE WHEN placed.free THEN 1 ELSE 0 END,
    summarising_until = now() + make_interval(secs => CASE WHEN placed.free THEN :lease ELSE :wait END)
  FROM due, reach, placed
  WHERE x.id = due.id AND x.user_id = due.user_id AND x.window_from = due.window_from
    AND x.memory_from = due.memory_from AND x.summary_to = due.summary_to
    AND x.summary_id IS NOT DISTINCT FROM due.summary_id
    AND x.summarising_id IS NOT DISTINCT FROM due.summarising_id
    AND x.summarising_attempt = due.summarising_attempt
    AND x.summarising_until IS NOT DISTINCT FROM due.summarising_until
  RETURNING x.*, placed.free)
SELECT CASE WHEN NOT taken.free THEN 'full' WHEN taken.id IS NOT NULL THEN 'taken' WHEN due.id IS NOT NULL THEN 'again'
    ELSE 'none' END AS outcome,
  taken.user_id, taken.agent, taken.summarising_id, taken.summarising_attempt, taken.summarising_to,
  CASE WHEN taken.summary_to >= taken.memory_from THEN taken.summary_id END AS summary_id,
  taken.summary_attempt, EXISTS (SELECT FROM bounds WHERE reached LIKE '%usd') AS counts_money,
  coalesce((SELECT json_agg(d.number ORDER BY d.number) FROM dropped d
    WHERE d.number <= taken.summarising_to), '[]') AS numbers
FROM (SELECT) one LEFT JOIN due ON true LEFT JOIN taken ON true
