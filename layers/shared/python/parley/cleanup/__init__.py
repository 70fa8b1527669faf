"""What is removed: memory that was cleared, pruned or whose session is gone."""
