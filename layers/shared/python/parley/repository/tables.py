"""The tables, as SQLAlchemy Core has them: nothing is mapped to objects."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    Row,
    Select,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP

from parley.repository.states import OPEN_IN_SQL, STATUSES

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
AnyQuery: TypeAlias = Select[*tuple[Any, ...]]
"""Of whatever columns: what each holds is told by the value that is made of it."""

_NOW = text("now()")
_TIME = TIMESTAMP(timezone=True)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All of them; constraints get names that migrations can refer to."""

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("name", Text),
    Column("platform", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("status_reason", Text),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
    Column("next_number", Integer, nullable=False, server_default="1"),
    Column("memory_from", Integer, nullable=False, server_default="1"),
    Column("window_from", Integer, nullable=False, server_default="1"),
    Column("memory_until", Integer, nullable=False, server_default="0"),
    Column("summary_id", Uuid),
    Column("summary_attempt", Integer, nullable=False, server_default="0"),
    Column("summary_to", Integer, nullable=False, server_default="0"),
    Column("summary_made_at", _TIME),
    Column("summary_calls", Integer, nullable=False, server_default="0"),
    Column("summary_input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("summary_output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("summary_cost_nanodollars", BigInteger),
    Column("summary_priced_calls", Integer, nullable=False, server_default="0"),
    Column("summary_uncounted_calls", Integer, nullable=False, server_default="0"),
    # Of the next one; the statements that make it read them, nobody else.
    Column("summarising_id", Uuid),
    Column("summarising_attempt", Integer, nullable=False, server_default="0"),
    Column("summarising_to", Integer, nullable=False, server_default="0"),
    Column("summarising_until", _TIME),
    Column("summarising_failures", Integer, nullable=False, server_default="0"),
    Column("idempotency_key", Text),
    Column("fingerprint", BYTEA),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    Column("last_activity_at", _TIME, nullable=False, server_default=_NOW),
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
"""One user's conversation with one agent.

`next_number` is the number of the next turn. Turns below `memory_from` are forgotten (the
user cleared memory). Those below `window_from` are not shown to its agent any more: its window
has moved on. Of what it left behind there may be a summary (turn-protocol, section 3b):
`summary_id` by `summary_attempt` is the one that counts, of all turns up to `summary_to`,
unless these are forgotten; `summarising_id` is the one that is being made. `memory_until` is of
a version whose retention came to each session; it stays for
as long as that may still run.
"""

TURNS = Table(
    "turns",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False, server_default="0"),
    # Never read: that of a turn that was let go of is '-infinity', which no datetime can hold.
    Column("lease_expires_at", _TIME),
    Column("idempotency_key", Text),
    Column("fingerprint", BYTEA, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_digest", Text),
    Column("remembered", Boolean, nullable=False, server_default=text("false")),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("cancel_requested_at", _TIME),
    Column("waiting_for", Text),
    # The number of the event that tells it, where its log has that or is to have it.
    Column("waiting_sequence", Integer),
    # Only the statements that end a wait read them, and the recovery.
    Column("awaited", Integer, nullable=False, server_default="0"),
    Column("resumed_at", _TIME),
    # The recovery's own statements read it, nobody else.
    Column("woken_at", _TIME),
    Column("model_calls", Integer, nullable=False, server_default="0"),
    # Of the API's request that made it; only administration reads it.
    Column("request_id", Text),
    # What each of them came to; only who looks at the one turn reads it.
    Column("model_steps", JSONB),
    Column("input_tokens", Integer, nullable=False, server_default="0"),
    Column("output_tokens", Integer, nullable=False, server_default="0"),
    Column("cached_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("cost_nanodollars", BigInteger),
    Column("uncounted_calls", Integer, nullable=False, server_default="0"),
    Column("unpriced_calls", Integer, nullable=False, server_default="0"),
    # Only statements under a budget read and write them (docs/budgets.md).
    Column("held_tokens", BigInteger, nullable=False, server_default="0"),
    Column("spent_tokens", BigInteger, nullable=False, server_default="0"),
    Column("lost_tokens", BigInteger, nullable=False, server_default="0"),
    Column("held_nanodollars", BigInteger, nullable=False, server_default="0"),
    Column("spent_nanodollars", BigInteger, nullable=False, server_default="0"),
    Column("lost_nanodollars", BigInteger, nullable=False, server_default="0"),
    Column("budget_day", Date),
    Column("for_deployment", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("started_at", _TIME),
    Column("ended_at", _TIME),
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
        postgresql_where=text(f"status IN {OPEN_IN_SQL}"),
    ),
    Index("ix_turns_lease", "lease_expires_at", postgresql_where=text("status = 'running'")),
    Index("ix_turns_request", "request_id", postgresql_where=text("request_id IS NOT NULL")),
)
"""One user message and all that the agent does until its reply.

`attempt` is the fence: only the attempt of this number may write. `crashes` counts attempts
whose lease ran out. `remembered` says that the turn left memory, which this row vouches for.
Once `cancel_requested_at` is set, who takes the turn over only ends it. `woken_at` is when the
recovery last woke for it. `waiting_for` is what it waits for, or last waited for: `awaited` of
them are not there yet, and `resumed_at` is when the last one came. Tokens and cost are sums of
what is known: `uncounted_calls` and `unpriced_calls` tell how many calls they leave out. Where
nothing is known they are null, but `input_tokens` and `output_tokens` are 0.
"""

MESSAGES = Table(
    "messages",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("turn_id", Uuid, ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    CheckConstraint("role IN ('user', 'assistant')", "role"),
    Index("uq_messages_role", "turn_id", "role", unique=True),
)
"""One thing that the user or the assistant said in a turn."""

TOOL_CALLS = Table(
    "tool_calls",
    METADATA,
    Column("turn_id", Uuid, ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    Column("call_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("output", JSONB, nullable=False),
    Column("effect", Boolean, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
)
"""A tool's output, written in the same transaction as the tool's own effect."""

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("turn_id", Uuid, ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("decider", Text, nullable=False),
    Column("editable", Boolean, nullable=False),
    Column("arguments_schema", JSONB),
    Column("status", Text, nullable=False, server_default="open"),
    Column("decided_by", Text),
    Column("decided_at", _TIME),
    Column("reason", Text),
    Column("edited_arguments", Text),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("expires_at", _TIME, nullable=False),
    CheckConstraint("status IN ('open', 'approved', 'rejected', 'expired', 'cancelled')", "status"),
    Index("uq_approvals_call", "turn_id", "call_id", unique=True),
    Index("ix_approvals_of_user", "user_id", "id"),
    Index("ix_approvals_open", "expires_at", postgresql_where=text("status = 'open'")),
    Index("ix_approvals_asked", "created_at", postgresql_where=text("status = 'open'")),
)
"""A tool's call that somebody has to decide on before it is made.

`attempt` is the one that asked, `decider` who may decide: `user`, `admin`, or a scope. `digest`
is of what may be done: of the call, with the edited arguments if there are any.
`arguments_schema` is what the tool says of its arguments, where they may be edited. `status` is
`cancelled` where the turn was, before anybody had decided.
"""

DAILY_USAGE = Table(
    "daily_usage",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_nanodollars", Numeric),
    Column("uncounted_calls", BigInteger, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
    Index("ix_daily_usage_day", "day"),
    postgresql_with={"fillfactor": 70},
)
"""What a user's calls of one model came to in one agent's turns that ended on one day (UTC).

The statement that ends a turn adds to it; it outlives turns and sessions. The sums are of what
is known, as those of a turn are.
"""

MEMORY_DELETIONS = Table(
    "memory_deletions",
    METADATA,
    Column("conversation", Text, primary_key=True),
    Column("not_before", _TIME, nullable=False),
    Column("below", Integer),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Index("ix_memory_deletions_due", "not_before"),
    Index("ix_memory_deletions_noted", "created_at"),
)
"""The outbox: conversations whose memory must still be removed.

Of a deleted session all of it, removed at once where that is possible and again after
`not_before`, since a process that is dying may write late. `below` bounds the numbers of its
turns; only a version whose retention came to each session wrote it.
"""

ESCALATION_NOTICES = Table(
    "escalation_notices",
    METADATA,
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
)
"""The outbox of escalations that somebody is still to be told of; a trigger fills it."""

TOMBSTONES = Table(
    "idempotency_tombstones",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("fingerprint", BYTEA, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Index("ix_tombstones_expiry", "expires_at"),
)
"""An idempotency key of what was deleted, kept until nobody may retry with it any more.

`kind` is `session` or `turn`.
"""

USER_LIMITS = Table(
    "user_limits",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column(
        "begun_at", ARRAY(TIMESTAMP(timezone=True)), nullable=False, server_default=text("'{}'")
    ),
    Column("day", Date),
    Column("day_tokens", BigInteger, nullable=False, server_default="0"),
    Column("month_tokens", BigInteger, nullable=False, server_default="0"),
    Column("day_nanodollars", BigInteger, nullable=False, server_default="0"),
    Column("month_nanodollars", BigInteger, nullable=False, server_default="0"),
    Column("warned", JSONB, nullable=False, server_default=text("'{}'")),
    Column("streams", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_user_limits_day", "day"),
)
"""What a user has used of what one may have, where no other table tells.

`begun_at` is when the last turns were begun, the newest first; no more than are let begin in a
minute. `streams` is until when each stream that is held has its place. The tokens are those of
`day` and of its month (UTC), held and spent; a trigger on turns adds them up.
"""

USER_BUDGETS = Table(
    "user_budgets",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("tokens_per_day", BigInteger),
    Column("tokens_per_month", BigInteger),
    Column("nanodollars_per_day", BigInteger),
    Column("nanodollars_per_month", BigInteger),
)
"""What an administrator lets one user spend; NULL is what the settings say."""

DEPLOYMENT_SPENDING = Table(
    "deployment_spending",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", Date, nullable=False),
    Column("day_tokens", BigInteger, nullable=False, server_default="0"),
    Column("month_tokens", BigInteger, nullable=False, server_default="0"),
    Column("day_nanodollars", BigInteger, nullable=False, server_default="0"),
    Column("month_nanodollars", BigInteger, nullable=False, server_default="0"),
    Column("warned", JSONB, nullable=False, server_default=text("'{}'")),
)
"""What all users together hold and have spent, of `day` and its month (UTC), in one row.

Only turns that were begun under a budget of all users come to it, by the trigger on turns.
"""

SUMMARY_PLACES = Table(
    "summary_places",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("held", JSONB, nullable=False),
)
"""Until when each summary that is made has its place, in one row: workers are for turns too."""

CLEANUP_PROGRESS = Table(
    "cleanup_progress",
    METADATA,
    Column("work", Text, primary_key=True),
    Column("cursor", Text),
    Column("started_at", _TIME, nullable=False),
    Column("ended_at", _TIME),
    Column("report", JSONB),
)
"""How far a kind of cleanup's work got, and what came of it.

`cursor` says where it goes on from; NULL when its last run came to the end. `ended_at` is
when that was. `report` is the last run's.
"""

AUDIT_RECORDS = Table(
    "audit_records",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("begun_at", _TIME, nullable=False, server_default=_NOW),
    Column("ended_at", _TIME),
    Column("administrator", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("whom", Text),
    Column("outcome", Text, nullable=False),
    Column("status", Integer),
    Column("request_id", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_audit_records_begun_at", "begun_at"),
)
"""A use of administration: who did what to whom, when, and what came of it.

`outcome` is `begun` (also if its end could not be written), `done`, `refused` or `failed`.
Erasing a user leaves it: it says that the user was erased.
"""
