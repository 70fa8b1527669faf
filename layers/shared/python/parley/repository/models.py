"""The tables, as SQLAlchemy's typed models."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    MetaData,
    Numeric,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from parley.repository.states import OPEN_IN_SQL, STATUSES, TurnStatus, WaitingFor

SessionStatus = Literal["active", "ended", "escalated"]
ApprovalStatus = Literal["open", "approved", "rejected", "expired", "cancelled"]
Role = Literal["user", "assistant"]

_NOW = text("now()")


class Base(DeclarativeBase):
    """Maps Python's types to Postgres's; constraints get names that migrations can refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text,
        bytes: BYTEA,
        datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB,
        SessionStatus: Text,
        TurnStatus: Text,
        WaitingFor: Text,
        ApprovalStatus: Text,
        Role: Text,
    }


class SessionRow(Base):
    """One user's conversation with one agent.

    `next_number` is the number of the next turn. Turns below `memory_from` are forgotten (the
    user cleared memory). Those below `window_from` are not shown to its agent any more: its window
    has moved on. Of what it left behind there may be a summary (turn-protocol, section 3b):
    `summary_id` by `summary_attempt` is the one that counts, of all turns up to `summary_to`,
    unless these are forgotten; `summarising_id` is the one that is being made. `memory_until` is of
    a version whose retention came to each session; it stays for
    as long as that may still run.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    agent: Mapped[str]
    name: Mapped[str | None]
    platform: Mapped[str]
    status: Mapped[SessionStatus] = mapped_column(server_default="active")
    status_reason: Mapped[str | None]
    session_metadata: Mapped[dict[str, Any]] = mapped_column(
        "metadata", server_default=text("'{}'")
    )
    next_number: Mapped[int] = mapped_column(server_default="1")
    memory_from: Mapped[int] = mapped_column(server_default="1")
    window_from: Mapped[int] = mapped_column(server_default="1")
    memory_until: Mapped[int] = mapped_column(server_default="0")
    summary_id: Mapped[UUID | None]
    summary_attempt: Mapped[int] = mapped_column(server_default="0")
    summary_to: Mapped[int] = mapped_column(server_default="0")
    summary_made_at: Mapped[datetime | None]
    summary_calls: Mapped[int] = mapped_column(server_default="0")
    summary_input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    summary_output_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # Of the next one; the statements that make it read them, nobody else.
    summarising_id: Mapped[UUID | None] = mapped_column(deferred=True)
    summarising_attempt: Mapped[int] = mapped_column(server_default="0", deferred=True)
    summarising_to: Mapped[int] = mapped_column(server_default="0", deferred=True)
    summarising_until: Mapped[datetime | None] = mapped_column(deferred=True)
    summarising_failures: Mapped[int] = mapped_column(server_default="0", deferred=True)
    idempotency_key: Mapped[str | None]
    fingerprint: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    last_activity_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (
        CheckConstraint("status IN ('active', 'ended', 'escalated')", "status"),
        Index("uq_sessions_name", "user_id", "name", unique=True),
        Index("uq_sessions_idempotency_key", "user_id", "idempotency_key", unique=True),
        Index("ix_sessions_activity", "user_id", "last_activity_at", "id"),
        Index("ix_sessions_all_activity", "last_activity_at", "id"),
        Index(
            "ix_sessions_memory",
            "last_activity_at",
            postgresql_where=text("memory_until < next_number - 1"),
        ),
        Index(
            "ix_sessions_closed",
            "last_activity_at",
            "id",
            postgresql_where=text("status <> 'active'"),
        ),
        Index(
            "ix_sessions_escalated",
            "last_activity_at",
            "id",
            postgresql_where=text("status = 'escalated'"),
        ),
        Index(
            "ix_sessions_empty",
            "last_activity_at",
            "id",
            postgresql_where=text("next_number = 1"),
        ),
        Index("ix_sessions_metadata", "user_id", postgresql_where=text("metadata <> '{}'")),
    )


class TurnRow(Base):
    """One user message and all that the agent does until its reply.

    `attempt` is the fence: only the attempt of this number may write. `crashes` counts attempts
    whose lease ran out. `remembered` says that the turn left memory, which this row vouches for.
    Once `cancel_requested_at` is set, who takes the turn over only ends it. `woken_at` is when the
    recovery last woke for it. `waiting_for` is what it waits for, or last waited for: `awaited` of
    them are not there yet, and `resumed_at` is when the last one came. Tokens and cost are sums of
    what is known: `uncounted_calls` and `unpriced_calls` tell how many calls they leave out. Where
    nothing is known they are null, but `input_tokens` and `output_tokens` are 0.
    """

    __tablename__ = "turns"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    user_id: Mapped[str]
    number: Mapped[int]
    status: Mapped[TurnStatus]
    attempt: Mapped[int]
    crashes: Mapped[int] = mapped_column(server_default="0")
    # Never read: that of a turn that was let go of is '-infinity', which no datetime can hold.
    lease_expires_at: Mapped[datetime | None] = mapped_column(deferred=True)
    idempotency_key: Mapped[str | None]
    fingerprint: Mapped[bytes]
    agent: Mapped[str]
    agent_digest: Mapped[str | None]
    remembered: Mapped[bool] = mapped_column(server_default=text("false"))
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    waiting_for: Mapped[WaitingFor | None]
    # Only the statements that end a wait read them, and the recovery.
    awaited: Mapped[int] = mapped_column(server_default="0", deferred=True)
    resumed_at: Mapped[datetime | None] = mapped_column(deferred=True)
    # The recovery's own statements read it, nobody else.
    woken_at: Mapped[datetime | None] = mapped_column(deferred=True)
    model_calls: Mapped[int] = mapped_column(server_default="0")
    # Of the API's request that made it; only administration reads it.
    request_id: Mapped[str | None] = mapped_column(deferred=True)
    # What each of them came to; only who looks at the one turn reads it.
    model_steps: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB, deferred=True)
    input_tokens: Mapped[int] = mapped_column(server_default="0")
    output_tokens: Mapped[int] = mapped_column(server_default="0")
    cached_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    cost_nanodollars: Mapped[int | None] = mapped_column(BigInteger)
    uncounted_calls: Mapped[int] = mapped_column(server_default="0")
    unpriced_calls: Mapped[int] = mapped_column(server_default="0")
    # Only statements under a budget read and write them (docs/budgets.md).
    held_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0", deferred=True)
    spent_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0", deferred=True)
    lost_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0", deferred=True)
    budget_day: Mapped[date | None] = mapped_column(deferred=True)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(map(repr, STATUSES))})", "status"),
        Index("uq_turns_number", "session_id", "number", unique=True),
        Index("uq_turns_idempotency_key", "user_id", "idempotency_key", unique=True),
        Index(
            "uq_turns_running",
            "session_id",
            unique=True,
            postgresql_where=text("status IN ('running', 'waiting')"),
        ),
        Index(
            "ix_turns_open",
            "session_id",
            "number",
            postgresql_where=text(f"status IN {OPEN_IN_SQL}"),
        ),
        Index(
            "ix_turns_memory",
            "session_id",
            "number",
            postgresql_where=text("remembered"),
            postgresql_include=["attempt", "id", "user_id"],
        ),
        Index(
            "ix_turns_open_of_user",
            "user_id",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
        Index("ix_turns_lease", "lease_expires_at", postgresql_where=text("status = 'running'")),
        Index("ix_turns_request", "request_id", postgresql_where=text("request_id IS NOT NULL")),
    )


class MessageRow(Base):
    """One thing that the user or the assistant said in a turn."""

    __tablename__ = "messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    turn_id: Mapped[UUID] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"))
    role: Mapped[Role]
    content: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant')", "role"),
        Index("uq_messages_role", "turn_id", "role", unique=True),
    )


class ToolCallRow(Base):
    """A tool's output, written in the same transaction as the tool's own effect."""

    __tablename__ = "tool_calls"

    turn_id: Mapped[UUID] = mapped_column(
        ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True
    )
    call_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    arguments: Mapped[str]
    output: Mapped[dict[str, Any]] = mapped_column(JSONB)
    effect: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class ApprovalRow(Base):
    """A tool's call that somebody has to decide on before it is made.

    `attempt` is the one that asked, `decider` who may decide: `user`, `admin`, or a scope. `digest`
    is of what may be done: of the call, with the edited arguments if there are any. `status` is
    `cancelled` where the turn was, before anybody had decided.
    """

    __tablename__ = "approvals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    turn_id: Mapped[UUID] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"))
    user_id: Mapped[str]
    attempt: Mapped[int]
    call_id: Mapped[str]
    agent: Mapped[str]
    tool: Mapped[str]
    arguments: Mapped[str]
    digest: Mapped[str]
    decider: Mapped[str]
    editable: Mapped[bool]
    status: Mapped[ApprovalStatus] = mapped_column(server_default="open")
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    edited_arguments: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    expires_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(
            "status IN ('open', 'approved', 'rejected', 'expired', 'cancelled')", "status"
        ),
        Index("uq_approvals_call", "turn_id", "call_id", unique=True),
        Index("ix_approvals_of_user", "user_id", "id"),
        Index("ix_approvals_open", "expires_at", postgresql_where=text("status = 'open'")),
    )


class DailyUsageRow(Base):
    """What a user's calls of one model came to in one agent's turns that ended on one day (UTC).

    The statement that ends a turn adds to it; it outlives turns and sessions. The sums are of what
    is known, as those of a turn are.
    """

    __tablename__ = "daily_usage"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cached_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cost_nanodollars: Mapped[Decimal | None] = mapped_column(Numeric)
    uncounted_calls: Mapped[int] = mapped_column(BigInteger)
    unpriced_calls: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("ix_daily_usage_day", "day"),
        {"postgresql_with": {"fillfactor": 70}},
    )


class MemoryDeletionRow(Base):
    """The outbox: conversations whose memory must still be removed.

    Of a deleted session all of it, removed at once where that is possible and again after
    `not_before`, since a process that is dying may write late. `below` bounds the numbers of its
    turns; only a version whose retention came to each session wrote it.
    """

    __tablename__ = "memory_deletions"

    conversation: Mapped[str] = mapped_column(primary_key=True)
    not_before: Mapped[datetime]
    below: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (
        Index("ix_memory_deletions_due", "not_before"),
        Index("ix_memory_deletions_noted", "created_at"),
    )


class EscalationNoticeRow(Base):
    """The outbox of escalations that somebody is still to be told of; a trigger fills it."""

    __tablename__ = "escalation_notices"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class TombstoneRow(Base):
    """An idempotency key of what was deleted, kept until nobody may retry with it any more.

    `kind` is `session` or `turn`.
    """

    __tablename__ = "idempotency_tombstones"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_tombstones_expiry", "expires_at"),)


class UserLimitsRow(Base):
    """What a user has used of what one may have, where no other table tells.

    `begun_at` is when the last turns were begun, the newest first; no more than are let begin in a
    minute. `streams` is until when each stream that is held has its place. The tokens are those of
    `day` and of its month (UTC), held and spent; a trigger on turns adds them up.
    """

    __tablename__ = "user_limits"
    __table_args__ = (Index("ix_user_limits_day", "day"),)

    user_id: Mapped[str] = mapped_column(primary_key=True)
    begun_at: Mapped[list[datetime]] = mapped_column(
        ARRAY(TIMESTAMP(timezone=True)), server_default=text("'{}'")
    )
    day: Mapped[date | None]
    day_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    month_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    warned: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    streams: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))


class UserBudgetRow(Base):
    """What an administrator lets one user spend; NULL is what the settings say."""

    __tablename__ = "user_budgets"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    tokens_per_day: Mapped[int | None] = mapped_column(BigInteger)
    tokens_per_month: Mapped[int | None] = mapped_column(BigInteger)


class CleanupProgressRow(Base):
    """How far a kind of cleanup's work got, and what came of it.

    `cursor` says where it goes on from; NULL when its last run came to the end. `ended_at` is
    when that was. `report` is the last run's.
    """

    __tablename__ = "cleanup_progress"

    work: Mapped[str] = mapped_column(primary_key=True)
    cursor: Mapped[str | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    report: Mapped[dict[str, Any] | None]


class AuditRow(Base):
    """A use of administration: who did what to whom, when, and what came of it.

    `outcome` is `begun` (also if its end could not be written), `done`, `refused` or `failed`.
    Erasing a user leaves it: it says that the user was erased.
    """

    __tablename__ = "audit_records"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    begun_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    ended_at: Mapped[datetime | None]
    administrator: Mapped[str]
    action: Mapped[str]
    whom: Mapped[str | None]
    outcome: Mapped[str]
    status: Mapped[int | None]
    request_id: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))

    __table_args__ = (Index("ix_audit_records_begun_at", "begun_at"),)


# Now and by one thread, not with the first statement of whichever thread comes first.
Base.registry.configure()
