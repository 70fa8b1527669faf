"""MCP servers for tests: one of the `mcp` package's own, and some that mean harm."""
