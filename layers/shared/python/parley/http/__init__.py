"""The HTTP API: events in, responses out.

What routes of one's own are made of can be imported from here: `Router`, and the annotations of
what a route asks for, `Caller` and `Database`, with `Cursor` and `Limit` for lists. `answers` says
what a route answers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.api_gateway import Router

    from parley.http.documented import answers
    from parley.http.paging import Cursor, Limit
    from parley.http.parts import Caller, Database

_HOMES = {
    "Caller": "parley.http.parts",
    "Cursor": "parley.http.paging",
    "Database": "parley.http.parts",
    "Limit": "parley.http.paging",
    "Router": "aws_lambda_powertools.event_handler.api_gateway",
    "answers": "parley.http.documented",
}

__all__ = ["Caller", "Cursor", "Database", "Limit", "Router", "answers"]


def __getattr__(name: str) -> Any:
    """Return what is public here; imported then, since not everything in this folder needs it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
