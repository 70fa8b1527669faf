"""Parley: a serverless backend for agent conversations.

What agents' authors use is here: `Effect`, `TurnContext`, `effect_tool`, `read_tool`, `approval`,
`escalate`;
and what says which of their tables hold rows of users: `UserTable`, `UserData`, `NotOfUsers`. What
routes of their own are made of is in `parley.http`. Everything else of the package may change with
any release. Importing `parley` alone does not import the Agents SDK; asking it for a tool's
decorator does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley.runner.approvals import approval
    from parley.runner.tools import effect_tool, read_tool
    from parley.turns.context import Effect, TurnContext
    from parley.turns.escalation import escalate
    from parley.user_tables import NotOfUsers, UserData, UserTable

__version__ = "0.1.0"
__all__ = [
    "Effect",
    "NotOfUsers",
    "TurnContext",
    "UserData",
    "UserTable",
    "approval",
    "effect_tool",
    "escalate",
    "read_tool",
]

_PUBLIC = {
    "Effect": "parley.turns.context",
    "NotOfUsers": "parley.user_tables",
    "TurnContext": "parley.turns.context",
    "UserData": "parley.user_tables",
    "UserTable": "parley.user_tables",
    "approval": "parley.runner.approvals",
    "effect_tool": "parley.runner.tools",
    "escalate": "parley.turns.escalation",
    "read_tool": "parley.runner.tools",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
