"""The agents of this deployment."""
