"""An agent."""
