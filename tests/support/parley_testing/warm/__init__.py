"""Python processes that tests start, forked from one that has imported what they will."""
