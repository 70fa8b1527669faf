"""What a message asks for: the same, in whichever way its turn is then followed."""

from __future__ import annotations

from uuid import UUID

from parley.errors import InvalidField
from parley.fingerprints import fingerprint
from parley.http.identity import Caller
from parley.http.schemas import FirstMessageSending, MessageSending
from parley.http.sessions import offered_agent
from parley.ids import new_id
from parley.repository.turns import NewSession, TurnRequest


def to_session(
    user: Caller, session_id: UUID, body: MessageSending, key: str | None, *, max_chars: int
) -> TurnRequest:
    """Return what a message to a session asks for.

    Args:
        user: Who sends it.
        session_id: The session.
        body: The message.
        key: Its idempotency key.
        max_chars: How long it may be.

    Raises:
        InvalidField: It is longer.
    """
    _require_length(body, max_chars)
    return TurnRequest(
        user_id=user.user_id,
        session_id=session_id,
        turn_id=new_id(),
        message_id=new_id(),
        text=body.text,
        idempotency_key=key,
        fingerprint=fingerprint("message", session_id=session_id, text=body.text),
        request_id=user.request_id,
    )


def to_any_session(
    user: Caller, body: FirstMessageSending, key: str | None, *, max_chars: int
) -> TurnRequest:
    """Return what a message asks for whose session is found by its fields, or made.

    Raises:
        InvalidField: It is longer than it may be, a field does not go with another, or no such
            agent is offered.
    """
    if body.session_id is not None:
        for field in ("session_name", "agent", "platform", "metadata"):
            if field in body.model_fields_set:
                raise InvalidField(field, "cannot be given together with session_id")
        return to_session(user, body.session_id, body, key, max_chars=max_chars)
    _require_length(body, max_chars)
    # To wait where it would be refused makes no other request of it.
    asked = body.model_dump(mode="json", exclude={"session_id", "on_conflict"})
    return TurnRequest(
        user_id=user.user_id,
        session_id=new_id(),
        turn_id=new_id(),
        message_id=new_id(),
        text=body.text,
        idempotency_key=key,
        fingerprint=fingerprint("first message", **asked),
        opens=NewSession(
            agent=offered_agent(body.agent),
            name=body.session_name,
            platform=body.platform,
            metadata=body.metadata,
        ),
        request_id=user.request_id,
    )


def _require_length(body: MessageSending, max_chars: int) -> None:
    if len(body.text) > max_chars:
        raise InvalidField("text", f"has more than {max_chars} characters")
