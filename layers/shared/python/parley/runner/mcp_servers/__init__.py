"""MCP servers of agents: connected once a process, and asked by all of its turns.

Only agents that have one import more of this than its exceptions.
"""
