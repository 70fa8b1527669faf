"""Running agents in a turn. Whatever stands here may import the Agents SDK."""
