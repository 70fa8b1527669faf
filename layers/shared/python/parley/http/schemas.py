"""What requests and responses look like; the OpenAPI document is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer
from pydantic_core import PydanticCustomError, to_json

from parley.http.usage_schemas import TurnUsage, Usage
from parley.repository import values
from parley.repository.approvals import ASKED_BYTES, Approval
from parley.repository.paging import written_bytes
from parley.repository.states import ApprovalStatus, SessionStatus, TurnStatus, WaitingFor
from parley.repository.transcript import TurnView
from parley.repository.values import Role
from parley.turns.cancel import Cancellation, CancelOutcome
from parley.usage.spent import Spent

METADATA_MAX_BYTES = 16 * 1024


def _written(time: datetime) -> str:
    # What the database gives is in UTC already; a page has sixty of them.
    return (time if time.tzinfo is UTC else time.astimezone(UTC)).isoformat()[:-6] + "Z"


Time = Annotated[
    datetime,
    PlainSerializer(_written, return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]


def _small(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(to_json(metadata)) > METADATA_MAX_BYTES:
        raise PydanticCustomError(
            "too_long", "has more than {limit} bytes as JSON", {"limit": METADATA_MAX_BYTES}
        )
    return metadata


def worded(text: str) -> str:
    """Take only text that is more than spaces.

    Raises:
        PydanticCustomError: It is not.
    """
    if not text.strip():
        raise PydanticCustomError("blank", "is empty")
    return text


Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_small),
    Field(description=f"Anything of yours, at most {METADATA_MAX_BYTES} bytes as JSON."),
]
WORDED = {"pattern": r"\S"}
"""Tells in a schema what `worded` takes."""

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Unique among your sessions.",
        json_schema_extra={**WORDED},
    ),
    AfterValidator(worded),
]
AgentName = Annotated[
    str, Field(min_length=1, max_length=100, description="One of those that `/agents` lists.")
]
Platform = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="Where you talk: web, cli, api, …")
]
Text = Annotated[
    str,
    Field(
        min_length=1,
        description="What the user says; the deployment limits its length.",
        json_schema_extra={**WORDED},
    ),
    AfterValidator(worded),
]


class RequestBody(BaseModel):
    """A body in which every field is known."""

    model_config = ConfigDict(extra="forbid")


def example(**fields: JsonValue) -> ConfigDict:
    """Return how a body is documented by one that is taken as it is; every field is known in it."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class SessionCreation(RequestBody):
    """A session to be made."""

    model_config = example(name="groceries", agent="todo")

    agent: AgentName | None = Field(
        None, description="Who answers; the deployment's first if null."
    )
    name: Name | None = None
    platform: Platform = "api"
    metadata: Metadata = Field(default_factory=dict)


class SessionChange(RequestBody):
    """What to change; fields that are not given stay as they are."""

    model_config = example(metadata={"colour": "green"})

    name: Name | None = Field(None, description="The new name; null takes it away.")
    # The defaults are never used: only fields that are given count.
    status: SessionStatus = Field(default_factory=lambda: "active")
    metadata: Metadata = Field(default_factory=dict, description="Replaces what was there.")


class MessageSending(RequestBody):
    """A message to a session."""

    model_config = example(text="add buy milk")

    text: Text
    on_conflict: Literal["reject", "enqueue"] = Field(
        "reject",
        description="What to do while another turn of the session is open: refuse the message"
        " with 409, or have it wait its turn.",
    )


class FirstMessageSending(MessageSending):
    """A message to a session that is made if it is not there.

    The session is found by `session_id`, or by `session_name`; with neither, a new one is made.
    `agent`, `platform` and `metadata` are for a session that this makes.
    """

    model_config = example(text="add buy milk", session_name="groceries")

    session_id: UUID | None = None
    session_name: Name | None = None
    agent: AgentName | None = None
    platform: Platform = "api"
    metadata: Metadata = Field(default_factory=dict)


class Session(BaseModel):
    """One user's conversation with one agent."""

    id: UUID
    agent: str
    name: str | None
    platform: str
    status: SessionStatus
    status_reason: str | None
    metadata: dict[str, JsonValue]
    created_at: Time
    updated_at: Time
    last_activity_at: Time

    @classmethod
    def of(cls, session: values.Session) -> Self:
        """Show a session."""
        return cls(
            id=session.id,
            agent=session.agent,
            name=session.name,
            platform=session.platform,
            status=session.status,
            status_reason=session.status_reason,
            metadata=session.metadata,
            created_at=session.created_at,
            updated_at=session.updated_at,
            last_activity_at=session.last_activity_at,
        )


class SessionDetails(Session):
    """A session, and what its turns came to that have ended."""

    usage: Usage

    @classmethod
    def shown(cls, session: values.Session, spent: Spent) -> Self:
        """Show a session and what its turns came to."""
        return cls(**dict(Session.of(session)), usage=Usage.of(spent))


class SessionList(BaseModel):
    """A page of sessions."""

    items: list[Session]
    next_cursor: str | None


class TranscriptMessage(BaseModel):
    """One thing that the user or the assistant said."""

    id: UUID
    turn_id: UUID
    role: Role
    content: str
    created_at: Time

    @classmethod
    def of(cls, message: values.Message) -> Self:
        """Show a message."""
        return cls(
            id=message.id,
            turn_id=message.turn_id,
            role=message.role,
            content=message.content,
            created_at=message.created_at,
        )


class MessageList(BaseModel):
    """A page of a transcript."""

    items: list[TranscriptMessage]
    next_cursor: str | None


class TurnError(BaseModel):
    """Why a turn ended without a reply."""

    code: str
    detail: str


class Turn(BaseModel):
    """One user message and all that the agent does until its reply."""

    id: UUID
    session_id: UUID
    number: int
    status: TurnStatus
    agent: str
    error: TurnError | None
    waiting_for: WaitingFor | None = Field(description="What it waits for, if it does.")
    usage: TurnUsage
    created_at: Time
    started_at: Time | None
    ended_at: Time | None

    @classmethod
    def of(cls, turn: values.Turn) -> Self:
        """Show a turn."""
        error = (
            TurnError(code=turn.error_code, detail=turn.error_detail or "")
            if turn.error_code
            else None
        )
        return cls(
            id=turn.id,
            session_id=turn.session_id,
            number=turn.number,
            status=turn.status,
            agent=turn.agent,
            error=error,
            waiting_for=turn.waiting_for,
            usage=TurnUsage.of(turn.spent),
            created_at=turn.created_at,
            started_at=turn.started_at,
            ended_at=turn.ended_at,
        )


class TurnList(BaseModel):
    """A page of turns."""

    items: list[Turn]
    next_cursor: str | None


class ShownApproval(BaseModel):
    """A call of a tool that somebody has to decide on, or has."""

    id: UUID
    call_id: str = Field(description="The model's id of the call.")
    tool: str
    arguments: str = Field(description="As the model wrote them, JSON.")
    decider: str = Field(description="Who may decide: `user`, `admin`, or who has that scope.")
    editable: bool = Field(description="Whether who approves may change the arguments.")
    status: ApprovalStatus
    reason: str | None
    edited_arguments: str | None = Field(description="What the tool is called with instead, JSON.")
    created_at: Time
    decided_at: Time | None
    expires_at: Time = Field(description="When it expires, as if it were rejected.")
    cut: bool = Field(
        False,
        description=(
            "Whether its texts are cut, since a turn asks for too much to show it all:"
            " `GET /approvals/{approval_id}` has them whole."
        ),
    )

    @classmethod
    def shown(cls, approval: Approval, *, cut: bool = False) -> ShownApproval:
        """Show an approval, or the beginning of each of its texts."""
        if cut:
            approval = replace(
                approval,
                arguments=approval.arguments[:_CUT_CHARS],
                edited_arguments=approval.edited_arguments
                and approval.edited_arguments[:_CUT_CHARS],
                reason=approval.reason and approval.reason[:_CUT_CHARS],
            )
        return ShownApproval(
            id=approval.id,
            call_id=approval.call_id,
            tool=approval.tool,
            arguments=approval.arguments,
            decider=approval.decider,
            editable=approval.editable,
            status=approval.status,
            reason=approval.reason,
            edited_arguments=approval.edited_arguments,
            created_at=approval.created_at,
            decided_at=approval.decided_at,
            expires_at=approval.expires_at,
            cut=cut,
        )


_CUT_CHARS = 100
_DECIDED_BYTES = 1_000_000
_ASKED = Field(description="What a turn that waits has asked for.")


def _asked(view: TurnView) -> list[ShownApproval]:
    """Show what a turn has asked for: whole as far as an answer holds it, the newest first.

    What it waits for now is the newest; so much at once it may ask for.
    """
    size = 0
    shown: list[ShownApproval] = []
    for each in reversed(view.approvals):
        texts = (each.arguments, each.edited_arguments, each.reason)
        size += sum(written_bytes(text) for text in texts if text is not None)
        shown.append(ShownApproval.shown(each, cut=size > ASKED_BYTES + _DECIDED_BYTES))
    return shown[::-1]


class AcceptedTurn(BaseModel):
    """A turn that goes on without the request, with the message that it answers."""

    turn: Turn
    user_message: TranscriptMessage
    approvals: list[ShownApproval] = _ASKED

    @classmethod
    def of(cls, view: TurnView) -> Self:
        """Show a turn as it is now."""
        assert view.user_message is not None, view.turn.id  # only a note has none
        return cls(
            turn=Turn.of(view.turn),
            user_message=TranscriptMessage.of(view.user_message),
            approvals=_asked(view),
        )


class TurnWithMessages(BaseModel):
    """A turn with what was said in it; `reply` is null until the turn completes.

    An administrator's note is the `reply` of a turn whose `user_message` is null.
    """

    turn: Turn
    user_message: TranscriptMessage | None
    reply: TranscriptMessage | None
    approvals: list[ShownApproval] = _ASKED

    @classmethod
    def of(cls, view: TurnView) -> Self:
        """Show a turn and its messages."""
        return cls(
            turn=Turn.of(view.turn),
            user_message=_said(view.user_message),
            reply=_said(view.reply),
            approvals=_asked(view),
        )


def _said(message: values.Message | None) -> TranscriptMessage | None:
    return None if message is None else TranscriptMessage.of(message)


class TurnStep(BaseModel):
    """Something that was done in a turn; what it was given and what it gave is not shown.

    Calls of the model are shown when the turn has ended, the first 200 of them.
    """

    kind: Literal["model", "tool"]
    name: str = Field(description="The model's, or the tool's.")
    outcome: Literal["succeeded", "failed"]
    error: str | None = Field(description="The type of the exception that it failed with.")
    milliseconds: int | None = Field(description="How long it took, where that is known.")
    ended_at: Time
    call_id: str | None = Field(description="The model's id of the call of a tool.")
    usage: Usage | None = Field(description="Of a call of the model, where it was counted.")

    @classmethod
    def of(cls, step: values.Step) -> Self:
        """Show a step."""
        return cls(
            kind=step.kind,
            name=step.name,
            outcome="succeeded" if step.error is None else "failed",
            error=step.error,
            milliseconds=step.milliseconds,
            ended_at=step.ended_at,
            call_id=step.call_id,
            usage=None if step.spent is None else Usage.of(step.spent),
        )


class TurnDetails(TurnWithMessages):
    """A turn with what was said in it, and its steps, in the order in which they ended."""

    steps: list[TurnStep]

    @classmethod
    def shown(cls, view: TurnView, steps: Iterable[values.Step]) -> Self:
        """Show a turn, its messages and its steps."""
        whole = TurnWithMessages.of(view)
        return cls(**dict(whole), steps=[TurnStep.of(step) for step in steps])


class CancelledTurn(TurnWithMessages):
    """What came of cancelling a turn: `cancelled` now or earlier, or `too_late` for it."""

    outcome: CancelOutcome

    @classmethod
    def by(cls, cancellation: Cancellation) -> Self:
        """Show what came of it."""
        shown = TurnWithMessages.of(cancellation.view)
        return cls(**dict(shown), outcome=cancellation.outcome)


class Summary(BaseModel):
    """What a model has told of the turns that the agent is not shown any more."""

    text: str
    to_turn: int
    made_at: Time | None


class Memory(BaseModel):
    """What the agent remembers of a session.

    `summary_pending` says that there are turns which it is not shown any more and of which no
    summary tells yet; `summary_usage` is what all of the session's summaries came to.
    """

    turns: int
    items: int
    bytes: int
    last_activity_at: Time | None
    summary: Summary | None
    summary_pending: bool
    summary_usage: TurnUsage


class Pruned(BaseModel):
    """What pruning removed."""

    turns: int


class OfferedAgent(BaseModel):
    """An agent that a session can be held with."""

    name: str
    description: str
    default: bool


class AgentList(BaseModel):
    """The agents that this deployment offers."""

    items: list[OfferedAgent]


class Health(BaseModel):
    """Says that the function runs; no store is touched."""

    status: str
