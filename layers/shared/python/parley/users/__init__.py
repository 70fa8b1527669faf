"""All that is kept of one user: exported, and erased."""
