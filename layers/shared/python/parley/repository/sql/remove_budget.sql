-- Let a user spend what the settings say again.
-- Parameters: user_id.
WITH unwarned AS (
  UPDATE user_limits SET warned = '{}' WHERE user_id = :user_id AND warned <> '{}')
DELETE FROM user_budgets WHERE user_id = :user_id
