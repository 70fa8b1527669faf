"""What happens in a turn, as it happens, for whoever follows it."""
