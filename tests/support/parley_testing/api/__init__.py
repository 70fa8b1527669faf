"""The HTTP API and the command line, seen from outside."""
