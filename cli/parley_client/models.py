"""What the API answers about one user's sessions and turns.

Fields that a newer API adds are left out, so that this goes on working with it.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

SessionStatus = Literal["active", "ended", "escalated"]
TurnStatus = Literal["queued", "running", "waiting", "completed", "failed", "cancelled"]
ApprovalStatus = Literal["open", "approved", "rejected", "expired", "cancelled"]
Decision = Literal["approve", "reject"]
Role = Literal["user", "assistant"]
OnConflict = Literal["reject", "enqueue"]
CancelOutcome = Literal["cancelled", "already_cancelled", "too_late"]


class Model(BaseModel):
    """Frozen; times are aware, in UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Session(Model):
    """One user's conversation with one agent. Only an `active` one takes messages."""

    id: UUID
    agent: str
    name: str | None
    platform: str
    status: SessionStatus
    status_reason: str | None
    metadata: dict[str, JsonValue]
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime


class TranscriptMessage(Model):
    """One thing that the user or the assistant said."""

    id: UUID
    turn_id: UUID
    role: Role
    content: str
    created_at: datetime


class Usage(Model):
    """What calls of models came to: sums of what is known, and None where nothing is.

    Attributes:
        input_tokens: Tokens sent, the cached ones among them.
        output_tokens: Tokens received, the reasoning among them.
        cost_usd: In US dollars, exactly.
        calls_without_tokens: Calls that the sums of tokens leave out.
        calls_without_cost: Calls that the cost leaves out.
    """

    # An event that an older release kept has only the first two sums.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    model_calls: int
    input_tokens: int | None
    cached_tokens: int | None = None
    output_tokens: int | None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None
    calls_without_tokens: int = 0
    calls_without_cost: int = 0


class UsageGroup(Model):
    """What was spent on one day, by one agent or user, or on one model, whose `name` it is."""

    name: str
    usage: Usage


class BudgetLimit(Model):
    """A limit of what may be spent.

    Attributes:
        limit: Its setting, in small letters.
        unit: What is counted: tokens, or US dollars.
        budget: What may be spent.
        used: What is spent, or held for what runs.
        renews_at: When the next day or month begins, by UTC.
        near: Whether 80 % of it are used.
    """

    limit: str
    unit: Literal["tokens", "usd"]
    budget: int | Decimal
    used: int | Decimal
    renews_at: datetime
    near: bool


class UsageReport(Model):
    """What was spent in the turns that ended on some days (UTC).

    Attributes:
        items: Days in their order; agents, models and users with the dearest first.
        left_out: How many further groups there are; they are in the total.
    """

    first_day: date
    last_day: date
    total: Usage
    items: tuple[UsageGroup, ...]
    left_out: int


class OwnUsageReport(UsageReport):
    """What one's own turns took, and what one may spend.

    Attributes:
        limits: Those of today and this month; an older API tells of none.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    limits: tuple[BudgetLimit, ...] = ()


class TurnUsage(Usage):
    """What a turn's model calls came to, over all attempts."""


class TurnError(Model):
    """Why a turn ended without a reply."""

    code: str
    detail: str


class SessionDetails(Session):
    """A session, and what its turns came to that have ended."""

    usage: Usage


class Turn(Model):
    """One user message and all that the agent does until its reply.

    `waiting_for` says what a turn waits for that is `waiting`.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    id: UUID
    session_id: UUID
    number: int
    status: TurnStatus
    agent: str
    error: TurnError | None
    waiting_for: Literal["decisions"] | None = None
    usage: TurnUsage
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Approval(Model):
    """A call of a tool that somebody has to decide on, or has.

    Attributes:
        call_id: The model's id of the call.
        arguments: As the model wrote them, JSON.
        decider: Who may decide: `user`, `admin`, or who has that scope.
        editable: Whether who approves may change the arguments.
        edited_arguments: What the tool is called with instead, JSON.
        cut: Whether its texts are cut, as those of a turn that asks for very much: `read_approval`
            gives them whole.
    """

    id: UUID
    call_id: str
    tool: str
    arguments: str
    decider: str
    editable: bool
    status: ApprovalStatus
    reason: str | None
    edited_arguments: str | None
    created_at: datetime
    decided_at: datetime | None
    expires_at: datetime
    cut: bool = False


class DecidedApproval(Approval):
    """An approval, and in whose turn it was asked for."""

    session_id: UUID
    turn_id: UUID


class AnyApproval(DecidedApproval):
    """An approval with whose it is, and who decided."""

    user_id: str
    agent: str
    decided_by: str | None


class TurnWithMessages(Model):
    """A turn with what was said in it; `reply` is None until the turn completes.

    `approvals` are what a turn has asked for that waits for decisions.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    turn: Turn
    user_message: TranscriptMessage | None
    reply: TranscriptMessage | None = None
    approvals: tuple[Approval, ...] = ()


class TurnStep(Model):
    """A call of the model, or of a tool, in a turn.

    `error` is the type of the exception that it failed with, and `usage` what a call of the model
    came to, where it was counted.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    kind: Literal["model", "tool"]
    name: str
    outcome: Literal["succeeded", "failed"]
    error: str | None
    milliseconds: int | None
    ended_at: datetime
    call_id: str | None
    usage: Usage | None = None


class TurnDetails(TurnWithMessages):
    """A turn with what was said in it, and its steps, in the order in which they ended."""

    steps: tuple[TurnStep, ...]


class AcceptedTurn(Model):
    """A turn that is carried out in the background, with what the user said."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    turn: Turn
    user_message: TranscriptMessage
    approvals: tuple[Approval, ...] = ()


class CancelledTurn(TurnWithMessages):
    """What came of cancelling a turn.

    `cancelled` by this call, `already_cancelled` before it, or `too_late`: it has completed or
    failed.
    """

    outcome: CancelOutcome


class Summary(Model):
    """What a model has told of the turns that the agent is not shown any more."""

    text: str
    to_turn: int
    made_at: datetime | None


class Memory(Model):
    """What the agent remembers of a session; `bytes` as they are stored.

    `summary_pending` says that there are turns which it is not shown any more and of which no
    summary tells yet; `summary_usage` is what all of the session's summaries came to.
    """

    turns: int
    items: int
    bytes: int
    last_activity_at: datetime | None
    summary: Summary | None
    summary_pending: bool
    summary_usage: TurnUsage


class Pruned(Model):
    """How many turns pruning removed from memory."""

    turns: int


class OfferedAgent(Model):
    """An agent that a session can be held with."""

    name: str
    description: str
    default: bool


class AgentList(Model):
    """The agents that the deployment offers."""

    items: tuple[OfferedAgent, ...]


class Health(Model):
    """Says that the API's functions run."""

    status: str
