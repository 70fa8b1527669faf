"""The `parley` command.

What commands of a project's own are made of can be imported from here, and docs/command-line.md
tells of it: `as_user` and `as_admin` give a function a client, `Json` is the option `--json`,
`show_json`, `show_table`, `show_text` and `note` print, and `CommandFailed` ends with a sentence.
Everything else may change with any release.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley_cli.connection import as_admin, as_user
    from parley_cli.errors import CommandFailed
    from parley_cli.screen import Json, note, show_json, show_table, show_text

_HOMES = {
    "CommandFailed": "parley_cli.errors",
    "Json": "parley_cli.screen",
    "as_admin": "parley_cli.connection",
    "as_user": "parley_cli.connection",
    "note": "parley_cli.screen",
    "show_json": "parley_cli.screen",
    "show_table": "parley_cli.screen",
    "show_text": "parley_cli.screen",
}

__all__ = [
    "CommandFailed",
    "Json",
    "as_admin",
    "as_user",
    "note",
    "show_json",
    "show_table",
    "show_text",
]


def __getattr__(name: str) -> Any:
    """Return what is public here; imported then, since a command begins with little."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
