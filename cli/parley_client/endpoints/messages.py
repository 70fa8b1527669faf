"""Messages, and the turns that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from parley_client.call import Call, Page, Series, below, key_or_new, present, shown_as
from parley_client.models import (
    AcceptedTurn,
    CancelledTurn,
    OnConflict,
    TranscriptMessage,
    Turn,
    TurnDetails,
    TurnStatus,
    TurnWithMessages,
)


def send_message(
    session_id: UUID | str,
    text: str,
    *,
    on_conflict: OnConflict | None = None,
    idempotency_key: str | None = None,
) -> Call[TurnWithMessages]:
    """Send a message and wait for the reply; however often it is tried, it is one turn.

    Behind others it may wait longer than a request may last: it is asked for until it is over, or
    until it waits for decisions (`approvals`), or is `queued` behind a turn that does.

    Args:
        session_id: The session, which is there.
        text: What the user says.
        on_conflict: What happens while another turn of the session runs: `reject`, which is what
            None means, refuses with `turn_in_progress`; `enqueue` waits behind it.
        idempotency_key: To join a turn that another process began; else one is made.
    """
    return Call(
        "POST",
        below("/sessions", session_id, "messages"),
        shown_as(TurnWithMessages),
        body=present(text=text, on_conflict=on_conflict),
        key=key_or_new(idempotency_key),
        waits=True,
    )


def queue_message(
    session_id: UUID | str,
    text: str,
    *,
    on_conflict: OnConflict | None = None,
    idempotency_key: str | None = None,
) -> Call[AcceptedTurn]:
    """Send a message without waiting: its turn is carried out in the background.

    `follow_turn` and `read_turn` tell what comes of it.

    Args:
        session_id: The session, which is there.
        text: What the user says.
        on_conflict: As in `send_message`.
        idempotency_key: To join a turn that another process began; else one is made.
    """
    return _in_background(
        send_message(session_id, text, on_conflict=on_conflict, idempotency_key=idempotency_key)
    )


def send_first_message(
    text: str,
    *,
    session_name: str | None = None,
    agent: str | None = None,
    platform: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    on_conflict: OnConflict | None = None,
    idempotency_key: str | None = None,
) -> Call[TurnWithMessages]:
    """Send a message to the session of this name, made where it is not there, and wait.

    Args:
        text: What the user says.
        session_name: Which session; without it a new one is made.
        agent: Who answers in a session that this makes.
        platform: Where the user talks, for a session that this makes.
        metadata: For a session that this makes.
        on_conflict: As in `send_message`.
        idempotency_key: To join a turn that another process began; else one is made.
    """
    body = present(
        text=text,
        session_name=session_name,
        agent=agent,
        platform=platform,
        metadata=metadata,
        on_conflict=on_conflict,
    )
    return Call(
        "POST",
        "/messages",
        shown_as(TurnWithMessages),
        body=body,
        key=key_or_new(idempotency_key),
        waits=True,
    )


def queue_first_message(
    text: str,
    *,
    session_name: str | None = None,
    agent: str | None = None,
    platform: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    on_conflict: OnConflict | None = None,
    idempotency_key: str | None = None,
) -> Call[AcceptedTurn]:
    """Do the same without waiting: the turn is carried out in the background.

    Args:
        text: What the user says.
        session_name: Which session; without it a new one is made.
        agent: Who answers in a session that this makes.
        platform: Where the user talks, for a session that this makes.
        metadata: For a session that this makes.
        on_conflict: As in `send_message`.
        idempotency_key: To join a turn that another process began; else one is made.
    """
    return _in_background(
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


def read_transcript(
    session_id: UUID | str, *, order: Literal["asc", "desc"] = "desc", page_size: int = 100
) -> Series[TranscriptMessage]:
    """List a session's messages by time, newest first unless asked otherwise."""
    path = below("/sessions", session_id, "messages")
    return Series(
        lambda cursor: Call(
            "GET",
            path,
            shown_as(Page[TranscriptMessage]),
            query={"order": order, "limit": page_size, "cursor": cursor},
        )
    )


def list_turns(
    session_id: UUID | str, *, status: TurnStatus | None = None, page_size: int = 100
) -> Series[Turn]:
    """List a session's turns, newest first."""
    path = below("/sessions", session_id, "turns")
    return Series(
        lambda cursor: Call(
            "GET",
            path,
            shown_as(Page[Turn]),
            query={"status": status, "limit": page_size, "cursor": cursor},
        )
    )


def read_turn(session_id: UUID | str, turn_id: UUID | str) -> Call[TurnDetails]:
    """Read a turn: its state, its messages, what it used and what was done in it."""
    path = below(below("/sessions", session_id, "turns"), turn_id)
    return Call("GET", path, shown_as(TurnDetails))


def cancel_turn(session_id: UUID | str, turn_id: UUID | str) -> Call[CancelledTurn]:
    """Cancel a turn that waits or runs; what its tools have done stays.

    Cancelling again is harmless, and `outcome` says what came of it.
    """
    path = below(below("/sessions", session_id, "turns"), turn_id, "cancel")
    return Call("POST", path, shown_as(CancelledTurn))


def _in_background(sent: Call[TurnWithMessages]) -> Call[AcceptedTurn]:
    return Call(
        sent.method,
        sent.path,
        shown_as(AcceptedTurn),
        headers={"Prefer": "respond-async"},
        body=sent.body,
        key=sent.key,
    )
