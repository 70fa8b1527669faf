"""What is said of an MCP server that cannot be used.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from agents import UserError

from parley.errors import ParleyError


class McpServerFailed(ParleyError, UserError):
    """An MCP server could not do what it was asked; the message says why, and quotes no address.

    The SDK tells the model what a `UserError` of a tool says, and wraps any other.
    """

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"The MCP server {server} {reason}.")


class McpCallRefused(McpServerFailed):
    """A server, or the SDK for it, will not make a call as it is; the message quotes why."""
