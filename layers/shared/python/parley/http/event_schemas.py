"""What the events of a turn look like; the OpenAPI document is made of it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue, RootModel

from parley.http.schemas import Time
from parley.http.usage_schemas import TurnUsage
from parley.repository.states import WaitingFor

Within = Annotated[
    str | None, Field(description="The tool call in which this one is made, if it is in another.")
]


class _Event(BaseModel):
    sequence: int = Field(ge=1, description="Its place in the turn: 1, 2, 3, …; also the SSE `id`.")
    at: Time
    turn_id: UUID


class TurnStarted(_Event):
    """The turn runs."""

    type: Literal["turn.started"]
    session_id: UUID
    number: int
    agent: str


class TurnResumed(_Event):
    """An attempt died or was let go; another carries the turn on."""

    type: Literal["turn.resumed"]
    attempt: int


class AskedApproval(BaseModel):
    """A call of a tool that somebody has to decide on."""

    approval_id: UUID
    call_id: str
    name: str
    arguments: str = Field(description="JSON; its first 16,000 characters if it is longer.")
    cut: bool = Field(
        False,
        description="Whether the arguments are longer: `GET /approvals/{approval_id}` has them.",
    )
    decider: str
    editable: bool
    expires_at: Time


class TurnWaiting(_Event):
    """The turn waits. The stream ends here; following the turn again goes on from here."""

    type: Literal["turn.waiting"]
    waiting_for: WaitingFor
    approvals: list[AskedApproval]


class ApprovalDecided(_Event):
    """Somebody has decided on a call, or nobody has in time."""

    type: Literal["approval.decided"]
    approval_id: UUID
    call_id: str
    name: str
    decision: Literal["approved", "rejected", "expired"]
    reason: str | None
    edited: bool = Field(description="Whether the tool is called with other arguments.")


class MessageDelta(_Event):
    """A piece of a message, as the model says it. `step` tells the turn's model answers apart."""

    type: Literal["message.delta"]
    step: int
    text: str


class MessageReset(_Event):
    """What was given of this step's text so far is void; it is written anew."""

    type: Literal["message.reset"]
    step: int


class ToolCalled(_Event):
    """The agent calls a tool."""

    type: Literal["tool.called"]
    call_id: str
    name: str
    arguments: str = Field(description="JSON; cut if it is very long.")
    within: Within


class ToolReturned(_Event):
    """A tool has answered."""

    type: Literal["tool.returned"]
    call_id: str
    name: str
    output: JsonValue = Field(description="Text or JSON; cut to text if it is very long.")
    within: Within


class MessageCompleted(_Event):
    """A whole message, which counts whatever its pieces were."""

    type: Literal["message.completed"]
    step: int | None
    text: str | None = Field(description="Null if it is too long for an event: read the turn.")
    message_id: UUID | None = Field(description="The reply's id; null for one before the reply.")


class TurnCompleted(_Event):
    """The turn is over, and has a reply. No event follows."""

    type: Literal["turn.completed"]
    reply_id: UUID
    usage: TurnUsage


class _Stopped(_Event):
    code: str
    detail: str
    interrupted: bool = Field(description="Whether a message was being written.")


class TurnFailed(_Stopped):
    """The turn is over without a reply. No event follows."""

    type: Literal["turn.failed"]


class TurnCancelled(_Stopped):
    """The turn was cancelled. No event follows."""

    type: Literal["turn.cancelled"]


class TurnEvent(
    RootModel[
        Annotated[
            TurnStarted
            | TurnResumed
            | TurnWaiting
            | ApprovalDecided
            | MessageDelta
            | MessageReset
            | ToolCalled
            | ToolReturned
            | MessageCompleted
            | TurnCompleted
            | TurnFailed
            | TurnCancelled,
            Field(discriminator="type"),
        ]
    ]
):
    """What the `data` of one server-sent event holds."""
