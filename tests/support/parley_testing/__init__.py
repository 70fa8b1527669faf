"""What several tests need: handlers called with events, models that play a part, counters."""
