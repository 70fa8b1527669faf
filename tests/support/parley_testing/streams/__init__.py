"""Streams of events, their writers and their readers."""
