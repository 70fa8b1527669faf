-- Let a user spend something else than the settings say; NULL is what they say. Of the new limits the
-- user has not been warned.
-- Parameters: user_id, tokens_per_day, tokens_per_month, nanodollars_per_day, nanodollars_per_month.
WITH unwarned AS (
  UPDATE user_limits SET warned = '{}' WHERE user_id = :user_id AND warned <> '{}')
INSERT INTO user_budgets (user_id, tokens_per_day, tokens_per_month, nanodollars_per_day,
  nanodollars_per_month)
VALUES (:user_id, :tokens_per_day, :tokens_per_month, :nanodollars_per_day, :nanodollars_per_month)
ON CONFLICT (user_id) DO UPDATE
  SET tokens_per_day = excluded.tokens_per_day, tokens_per_month = excluded.tokens_per_month,
    nanodollars_per_day = excluded.nanodollars_per_day,
    nanodollars_per_month = excluded.nanodollars_per_month
