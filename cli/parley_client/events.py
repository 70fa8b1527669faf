"""What happens in a turn, as its events tell it.

Events that a newer API adds are a plain `TurnEvent`, so that this goes on working with it.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import JsonValue

from parley_client.models import Model, TurnUsage
from parley_client.sse import Frame


class TurnEvent(Model):
    """One thing that happened in a turn.

    Attributes:
        final: Whether it ends the turn, so that none follows.
        sequence: Its place among the turn's events: 1, 2, 3, …; numbers are missing only before the
            type `events.lost`.
        type: What happened; each type that is known has a class.
        at: When.
        turn_id: In which turn.
    """

    final: ClassVar[bool] = False

    sequence: int
    type: str
    at: datetime
    turn_id: UUID


class TurnStarted(TurnEvent):
    """The turn began; always the first event."""

    type: Literal["turn.started"]
    session_id: UUID
    number: int
    agent: str


class TurnResumed(TurnEvent):
    """A process died, or had to end, and another carries the turn on."""

    type: Literal["turn.resumed"]
    attempt: int


class AskedApproval(Model):
    """A call of a tool that somebody has to decide on; see `Approval`.

    Attributes:
        arguments: JSON text, of which there are 16,000 characters at most.
        cut: Whether the arguments are longer than that: `read_approval` gives them whole.
    """

    approval_id: UUID
    call_id: str
    name: str
    arguments: str
    decider: str
    editable: bool
    expires_at: datetime
    cut: bool = False


class TurnWaiting(TurnEvent):
    """The turn waits for decisions. Following it again goes on from here."""

    type: Literal["turn.waiting"]
    waiting_for: Literal["decisions"]
    approvals: tuple[AskedApproval, ...]


class ApprovalDecided(TurnEvent):
    """Somebody has decided on a call, or nobody has in time."""

    type: Literal["approval.decided"]
    approval_id: UUID
    call_id: str
    name: str
    decision: Literal["approved", "rejected", "expired"]
    reason: str | None
    edited: bool


class MessageDelta(TurnEvent):
    """The agent wrote some more; `step` says in which of the turn's model answers."""

    type: Literal["message.delta"]
    step: int
    text: str


class MessageReset(TurnEvent):
    """What was written in this step so far is void; it is written anew."""

    type: Literal["message.reset"]
    step: int


class ToolCalled(TurnEvent):
    """The agent calls a tool.

    Attributes:
        call_id: Names the call.
        name: The tool.
        arguments: JSON text, of which there are 16,000 characters at most.
        within: The call in which this one is made, by an agent that is used as a tool.
    """

    type: Literal["tool.called"]
    call_id: str
    name: str
    arguments: str
    within: str | None


class ToolReturned(TurnEvent):
    """A tool answered; of what it said there are 16,000 characters at most."""

    type: Literal["tool.returned"]
    call_id: str
    name: str
    output: JsonValue
    within: str | None


class MessageCompleted(TurnEvent):
    """A message is whole.

    Attributes:
        step: Which of the turn's model answers it was, where that is known.
        text: The whole message, which counts whatever the deltas were; None where it is too long
            for an event: read the turn.
        message_id: The reply's id; None for a message before the reply, which the transcript does
            not have.
    """

    type: Literal["message.completed"]
    step: int | None
    text: str | None
    message_id: UUID | None


class TurnCompleted(TurnEvent):
    """The turn has its reply."""

    final: ClassVar[bool] = True

    type: Literal["turn.completed"]
    reply_id: UUID
    usage: TurnUsage


class TurnStopped(TurnEvent):
    """The turn ended without a reply.

    Attributes:
        code: Why, for programs.
        detail: Why, for people.
        interrupted: Whether a message was being written, so that its deltas are all there is of it.
    """

    final: ClassVar[bool] = True

    code: str
    detail: str
    interrupted: bool


class TurnFailed(TurnStopped):
    """The turn failed."""

    type: Literal["turn.failed"]


class TurnCancelled(TurnStopped):
    """The turn was cancelled."""

    type: Literal["turn.cancelled"]


KINDS: dict[str, type[TurnEvent]] = {
    "turn.started": TurnStarted,
    "turn.resumed": TurnResumed,
    "turn.waiting": TurnWaiting,
    "approval.decided": ApprovalDecided,
    "message.delta": MessageDelta,
    "message.reset": MessageReset,
    "tool.called": ToolCalled,
    "tool.returned": ToolReturned,
    "message.completed": MessageCompleted,
    "turn.completed": TurnCompleted,
    "turn.failed": TurnFailed,
    "turn.cancelled": TurnCancelled,
}
"""The class of each type."""


def read_event(frame: Frame) -> TurnEvent:
    """Read an event of a stream.

    Raises:
        ValueError: It is none of a turn.
    """
    kind = KINDS.get(frame.event, TurnEvent)
    event = kind.model_validate(json.loads(frame.data))
    if frame.id != str(event.sequence):
        raise ValueError(f"event {event.sequence} has the id {frame.id}")
    return event
