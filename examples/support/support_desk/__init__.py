"""An agent that answers questions, and hands a conversation over to a person."""
