"""Sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from parley_client.call import (
    UNSET,
    Call,
    Page,
    Series,
    Unset,
    below,
    given,
    key_or_new,
    nothing,
    present,
    shown_as,
)
from parley_client.models import Session, SessionDetails, SessionStatus


def create_session(
    *,
    agent: str | None = None,
    name: str | None = None,
    platform: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Call[Session]:
    """Make a session, or give the one that has this name already.

    Args:
        agent: Who answers; the deployment's first if None.
        name: Unique among the user's sessions.
        platform: Where the user talks: web, cli, api, …
        metadata: Anything that is JSON.
        idempotency_key: To go on with a call of another process; else one is made.
    """
    body = present(agent=agent, name=name, platform=platform, metadata=metadata)
    return Call("POST", "/sessions", shown_as(Session), body=body, key=key_or_new(idempotency_key))


def list_sessions(
    *,
    status: SessionStatus | None = None,
    agent: str | None = None,
    name: str | None = None,
    platform: str | None = None,
    page_size: int = 100,
) -> Series[Session]:
    """List the user's sessions, newest activity first; `page_size` (1-100) a request."""
    query = {"status": status, "agent": agent, "name": name, "platform": platform}
    return Series(
        lambda cursor: Call(
            "GET",
            "/sessions",
            shown_as(Page[Session]),
            query={**query, "limit": page_size, "cursor": cursor},
        )
    )


def read_session(session_id: UUID | str) -> Call[SessionDetails]:
    """Read one session, and what its turns came to."""
    return Call("GET", below("/sessions", session_id), shown_as(SessionDetails))


def change_session(
    session_id: UUID | str,
    *,
    name: str | Unset | None = UNSET,
    status: SessionStatus | Unset = UNSET,
    metadata: Mapping[str, Any] | Unset = UNSET,
) -> Call[Session]:
    """Change what is given; a name of None takes the name away.

    It is not sent again when its answer is lost: somebody may have changed the session meanwhile.
    """
    return Call(
        "PATCH",
        below("/sessions", session_id),
        shown_as(Session),
        body=given(name=name, status=status, metadata=metadata),
        repeatable=False,
    )


def delete_session(session_id: UUID | str) -> Call[None]:
    """Delete a session with its transcript and memory."""
    return Call("DELETE", below("/sessions", session_id), nothing)
