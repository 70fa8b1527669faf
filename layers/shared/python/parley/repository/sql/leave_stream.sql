-- Leave the place that a stream had among those of its user's.
-- Parameters: user_id, stream.
UPDATE user_limits SET streams = streams - CAST(:stream AS text)
WHERE user_id = :user_id AND jsonb_exists(streams, :stream)
