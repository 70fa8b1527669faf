"""Finding what a person names."""

from __future__ import annotations

import re
from uuid import UUID

from parley_cli.errors import CommandFailed
from parley_client import Parley
from parley_client.models import Session

_NUMBER = re.compile("[0-9]{1,10}")


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


def get_turn_id(parley: Parley, session: UUID, named: str) -> UUID | str:
    """Return the id of a session's turn from its number, as `turns list` shows it, or from the id.

    Raises:
        CommandFailed: The session has no turn of this number.
        ParleyError: The API refused, or could not be reached.
    """
    if not _NUMBER.fullmatch(named):
        return named
    number = int(named)
    for turn in parley.list_turns(session, page_size=100):
        if turn.number == number:
            return turn.id
        if turn.number < number:  # the newest come first
            break
    raise CommandFailed(f"This session has no turn {number}.")


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
