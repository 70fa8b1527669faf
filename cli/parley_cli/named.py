"""Finding what a person names."""

from __future__ import annotations

from uuid import UUID

from parley_cli.errors import CommandFailed
from parley_client import Parley
from parley_client.models import Session


def find_session(parley: Parley, name: str) -> Session | None:
    """Return the session of this name, or None."""
    # An empty one would not filter.
    return next(parley.list_sessions(name=name, page_size=1), None) if name else None


def get_session(parley: Parley, named: str) -> Session:
    """Return the session of this name or id.

    Raises:
        CommandFailed: There is none.
        ParleyError: The API refused, or could not be reached.
    """
    session = find_session(parley, named)
    if session is not None:
        return session
    if (session_id := _id(named)) is not None:
        return parley.read_session(session_id)
    raise CommandFailed(f"There is no session named {named!r}.")


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
