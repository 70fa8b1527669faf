"""Who administers: callers with the scope for it, each use of which is logged."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.event_handler import Request

from parley.errors import MissingScope
from parley.http.api import caller
from parley.http.identity import ADMIN, Caller
from parley.observability import logger


def administrator(request: Request) -> Caller:
    """Give the administrator whose request this is: a dependency of every route of theirs.

    The log tells who did what, and whom was refused it; a body's fields are the route's to log.

    Raises:
        Unauthenticated: The event names no user.
        MissingScope: The caller may not administer.
    """
    user = caller(request)
    event = request.resolved_event
    use: dict[str, Any] = {
        "administrator": user.user_id,
        "method": event.http_method,
        "path": event.path,
        "query": dict(event.resolved_query_string_parameters),
    }
    try:
        user.require(ADMIN)
    except MissingScope:
        logger().warning("administration refused", **use)
        raise
    logger().info("administration", **use)
    return user


def note_use(user: Caller, action: str, **what: Any) -> None:
    """Log what an administrator asked for in a body, or what came of it."""
    logger().info("administration", administrator=user.user_id, action=action, **what)
