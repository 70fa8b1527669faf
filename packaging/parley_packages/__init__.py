"""Builds what is deployed: two layers and the functions, from the lock file, for any machine."""
