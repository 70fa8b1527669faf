"""An agent that answers questions, refunds, and hands a conversation over to a person."""
