"""What the agent remembers: the agent-session store and what is believed of it."""
