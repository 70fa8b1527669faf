"""Who administers: callers with the scope for it."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Request

from parley.http.api import caller
from parley.http.identity import ADMIN, Caller


def administrator(request: Request) -> Caller:
    """Give the administrator whose request this is: a dependency of every route of theirs.

    That it was asked for, allowed or refused is recorded before (`audit`).

    Raises:
        Unauthenticated: The event names no user.
        MissingScope: The caller may not administer.
    """
    user = caller(request)
    user.require(ADMIN)
    return user
