"""What a front end calls a conversation and a message, and the session and turn that it means.

A front end makes its own ids, of any form. The session is found by the idempotency key that it was
made with, which is unique among its user's, lives as long as the session, and follows it when the
user is renamed; a name would be gone when the user gives the session another. An id that is that of
a session of the user's is that session, so that a list of sessions can be gone on with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from parley.errors import InvalidField
from parley.fingerprints import fingerprint
from parley.http.identity import Caller, deciders
from parley.ids import new_id
from parley.repository.turns import NewSession, TurnRequest
from parley.turns.answers import Answer, Answers


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, as a front end names it.

    Attributes:
        protocol: The front end's; also the platform of a session that is made.
        names: What tells it apart from the user's others.
        session_id: The session that the front end's id would be, if it is of that form.
        agent: Whose it must be to be that one; None if any will do.
    """

    protocol: str
    names: tuple[str, ...]
    session_id: UUID | None
    agent: str | None = None

    @classmethod
    def of(cls, protocol: str, name: str, *, agent: str | None = None) -> Conversation:
        """Return the one of an id; where an agent is given, each agent has its own."""
        names = (name,) if agent is None else (agent, name)
        return cls(protocol, names, _as_session(name), agent)

    @property
    def key(self) -> str:
        """The idempotency key of its session."""
        return self.key_of()

    def key_of(self, *names: str) -> str:
        """Return the idempotency key of something in it, whatever characters its names have."""
        digest = sha256(json.dumps([*self.names, *names]).encode()).hexdigest()
        return f"{self.protocol}-{digest}"


def message_in(
    conversation: Conversation,
    user: Caller,
    text: str,
    key: str | None,
    *,
    agent: str,
    max_chars: int,
) -> TurnRequest:
    """Return what a message in a conversation asks for.

    Args:
        conversation: Where; its session is made if it is not there.
        user: Who sends it.
        text: What it says.
        key: Its idempotency key.
        agent: Of a session that is made.
        max_chars: How long it may be.

    Raises:
        InvalidField: It is longer, or says nothing.
    """
    if not text.strip():
        raise InvalidField("messages", "the newest message of the user says nothing")
    if len(text) > max_chars:
        raise InvalidField("messages", f"the newest has more than {max_chars} characters")
    made_as = fingerprint("conversation", key=conversation.key)
    return TurnRequest(
        user_id=user.user_id,
        session_id=new_id(),
        turn_id=new_id(),
        message_id=new_id(),
        text=text,
        idempotency_key=key,
        fingerprint=fingerprint("message in conversation", key=conversation.key, text=text),
        opens=NewSession(
            agent=agent,
            name=None,
            platform=conversation.protocol,
            metadata={},
            key=conversation.key,
            fingerprint=bytes(made_as),
            known_as=conversation.session_id,
            known_with=conversation.agent,
        ),
        request_id=user.request_id,
        behind_waiting=False,  # its reader would wait for days, and have answered nothing
    )


def answers_in(
    conversation: Conversation, user: Caller, given: Mapping[UUID, Answer], *, field: str
) -> Answers:
    """Return the answers to what was asked for in a conversation.

    Args:
        conversation: Where.
        user: Who answers.
        given: The answers, by approval.
        field: Where they stand in the request.
    """
    return Answers(
        user_id=user.user_id,
        may=deciders(user),
        key=conversation.key,
        session_id=conversation.session_id,
        agent=conversation.agent,
        given=given,
        field=field,
    )


def _as_session(name: str) -> UUID | None:
    try:
        found = UUID(name)
    except ValueError:
        return None
    return found if str(found) == name else None
