"""An agent that keeps tasks."""
