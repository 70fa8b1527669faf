"""Turns that are broken on purpose, in processes that may be killed."""
