"""Every route, as a function that makes the call; both clients are made of these."""
