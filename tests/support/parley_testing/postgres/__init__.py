"""A Postgres for the tests, and what happens to it on the way."""
