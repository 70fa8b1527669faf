"""Pages in a real browser, and what they must not do."""
