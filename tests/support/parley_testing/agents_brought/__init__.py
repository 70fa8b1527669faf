"""Agents that somebody else wrote."""
