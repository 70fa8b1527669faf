"""Turns as they happen: their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from parley_client.call import Call, Events, below, opened
from parley_client.endpoints.messages import send_first_message, send_message
from parley_client.models import OnConflict

_ACCEPT = {"Accept": "text/event-stream"}


def stream_message(
    session_id: UUID | str,
    text: str,
    *,
    on_conflict: OnConflict | None = None,
    idempotency_key: str | None = None,
) -> Events:
    """Send a message and give what happens in its turn, as it happens, until the turn ends.

    Behind a turn that waits for a decision nothing happens, perhaps for days: the server is asked
    again every half minute.

    Args:
        session_id: The session, which is there.
        text: What the user says.
        on_conflict: What happens while another turn of the session runs: `reject`, which is what
            None means, refuses with `turn_in_progress`; `enqueue` waits behind it.
        idempotency_key: To join a turn that another process began; else one is made.
    """
    sent = send_message(session_id, text, on_conflict=on_conflict, idempotency_key=idempotency_key)
    return Events(_streamed(sent), session_id=UUID(str(session_id)))


def stream_first_message(
    text: str,
    *,
    session_name: str | None = None,
    agent: str | None = None,
    platform: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    on_conflict: OnConflict | None = None,
    idempotency_key: str | None = None,
) -> Events:
    """Do the same in the session of this name, made where it is not there.

    The first event names the session.

    Args:
        text: What the user says.
        session_name: Which session; without it a new one is made.
        agent: Who answers in a session that this makes.
        platform: Where the user talks, for a session that this makes.
        metadata: For a session that this makes.
        on_conflict: What happens while another turn of the session runs.
        idempotency_key: To join a turn that another process began; else one is made.
    """
    return Events(
        _streamed(
            send_first_message(
                text,
                session_name=session_name,
                agent=agent,
                platform=platform,
                metadata=metadata,
                on_conflict=on_conflict,
                idempotency_key=idempotency_key,
            )
        )
    )


def follow_turn(session_id: UUID | str, turn_id: UUID | str, *, after: int = 0) -> Events:
    """Return what happened in a turn, and then what happens, until it ends.

    Events are kept for a day; of an older turn there are the first and the last ones.

    Args:
        session_id: The turn's session.
        turn_id: The turn, of which there may be several readers at once.
        after: The sequence number of the last event that is known already.
    """
    path = below(below("/sessions", session_id, "turns"), turn_id, "events")
    return Events(
        Call("GET", path, opened, headers=_ACCEPT, query={"after": after or None}),
        session_id=UUID(str(session_id)),
        turn_id=UUID(str(turn_id)),
        after=after,
    )


def _streamed(sent: Call[Any]) -> Call[None]:
    return Call(
        sent.method, f"{sent.path}/stream", opened, headers=_ACCEPT, body=sent.body, key=sent.key
    )
