"""An agent that keeps tasks, and their list over HTTP."""
