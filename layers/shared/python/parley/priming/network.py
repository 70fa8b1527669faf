"""What libraries import when they connect, which priming never does."""

from __future__ import annotations

from importlib import import_module

_NAMES = ("encodings.idna",)  # of hosts
_AGENTS = ("anyio._backends._asyncio", "httpcore", "httpcore._backends.anyio")
"""To a model's server, and to those of tools."""


def import_connecting(*, agents: bool) -> None:
    """Import it.

    Args:
        agents: Whether this process runs agents.
    """
    for name in (*_NAMES, *(_AGENTS if agents else ())):
        import_module(name)
