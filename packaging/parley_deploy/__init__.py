"""Deploys what was built. Not deployed itself."""
