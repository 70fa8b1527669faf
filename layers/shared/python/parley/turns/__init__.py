"""What happens in a turn: begun, run, completed."""
