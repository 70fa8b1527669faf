-- Let the next attempt have the turn. Letting go on purpose is no crash: an outage of a store must not
-- use up the attempts.
-- Who lets go knows what its calls took: what is recorded is spent, and what is not, or was broken off, is
-- held until the next attempt has the turn, for which it is lost.
-- Parameters: turn_id, attempt, crashed, settles, held, settled, held_cost, settled_cost.
UPDATE turns SET lease_expires_at = CASE WHEN :crashed THEN now() ELSE '-infinity' END,
  held_tokens = CASE WHEN :settles AND budget_day IS NOT NULL
    THEN CAST(:held AS bigint) ELSE held_tokens END,
  spent_tokens = CASE WHEN :settles AND budget_day IS NOT NULL
    THEN greatest(spent_tokens, CAST(:settled AS bigint)) ELSE spent_tokens END,
  held_nanodollars = CASE WHEN :settles AND budget_day IS NOT NULL
    THEN CAST(:held_cost AS bigint) ELSE held_nanodollars END,
  spent_nanodollars = CASE WHEN :settles AND budget_day IS NOT NULL
    THEN greatest(spent_nanodollars, CAST(:settled_cost AS bigint)) ELSE spent_nanodollars END
WHERE id = :turn_id AND attempt = :attempt AND status = 'running'
RETURNING id
