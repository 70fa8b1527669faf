"""Postgres: what the user sees."""
