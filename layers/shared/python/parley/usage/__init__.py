"""What calls of models take in tokens, and what that costs in money."""
