"""The HTTP API: events in, responses out."""
