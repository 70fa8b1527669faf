"""What the API answers to administrators."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from parley_client.models import BudgetLimit, Model, Session, Turn, TurnDetails


class AdminSession(Session):
    """A session, and whose it is."""

    user_id: str


class AdminTurn(TurnDetails):
    """A turn with what was said and done in it, whose it is, and which request made it.

    `attempt` and `crashes` are 0 of an API that does not tell them yet.
    """

    user_id: str
    request_id: str | None
    attempt: int = 0
    crashes: int = 0


class TurnOfAnybody(Turn):
    """A turn, whose it is, and how often it was tried.

    Attributes:
        attempt: The number of the attempt that has it now, or had it last.
        crashes: How many of its attempts died, or ended by a defect.
    """

    user_id: str
    attempt: int
    crashes: int


class RecordedToolCall(Model):
    """A call of a tool, as it was recorded.

    Attributes:
        arguments: As the model wrote them, JSON text.
        output: What the tool gave; text, where it is cut.
        cut: Whether arguments or output are longer than is told here.
        effect: Whether the tool is one that changes something.
        error: The type of the exception that it failed with.
        milliseconds: How long it took, where that is known.
    """

    call_id: str
    name: str
    arguments: str
    output: Any
    cut: bool
    effect: bool
    error: str | None
    milliseconds: int | None
    recorded_at: datetime


class RememberedItem(Model):
    """What the model was told, or answered, in a turn: one item, as the Agents SDK keeps it.

    Attributes:
        place: Its place in the turn: 0, 1, 2, …
        item: The item; the beginning of its JSON where it is `cut`.
    """

    place: int
    item: Any
    cut: bool


class LoggedEvent(Model):
    """One thing that happened in a turn; `data` is what there is to tell of it, by its `type`."""

    sequence: int
    type: str
    at: datetime
    data: dict[str, JsonValue]


class Counted(Model):
    """How much of one kind went, or would go.

    Attributes:
        found: Sessions, conversations or keys.
        rows: Rows in Postgres.
        items: Turns in the agent-session store.
        bytes: Their stored size.
        failures: How many were left because something went wrong.
    """

    found: int
    rows: int
    items: int
    bytes: int
    failures: int


class Failure(Model):
    """One thing that could not be cleaned up, and why."""

    kind: str
    subject: str
    reason: str


class ListedSession(Model):
    """A session that would be visited: a dry run's."""

    kind: str
    session_id: UUID
    user_id: str
    name: str | None
    last_activity_at: datetime
    rows: int
    items: int
    bytes: int


class CleanupSummary(Model):
    """What a cleanup did, by kind; where it is not `done`, it goes on at `next_cursor`."""

    dry_run: bool
    done: bool
    next_cursor: str | None
    seconds: float
    kinds: dict[str, Counted]
    failures: tuple[Failure, ...]


class CleanupReport(CleanupSummary):
    """What one call of cleanup did; `sessions` are what a dry run found."""

    sessions: tuple[ListedSession, ...]


class SessionCounts(Model):
    """Sessions by status."""

    active: int
    ended: int
    escalated: int


class MemoryFigures(Model):
    """The agent-session store; `items_per_session` is of a sample."""

    items_per_session: float
    sampled_sessions: int
    turns: int
    bytes: int


class TurnCounts(Model):
    """Turns of the last 24 hours by status."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    queued: int
    running: int
    waiting: int = 0
    completed: int
    failed: int
    cancelled: int


class FailureCount(Model):
    """How many turns failed with a code, of an agent."""

    agent: str
    code: str
    turns: int


class NewestTurns(Model):
    """What the newest turns of the last 24 hours came to, at most 1,000."""

    looked_at: int
    input_tokens: int
    output_tokens: int
    median_seconds: float | None
    p95_seconds: float | None
    failures: tuple[FailureCount, ...]


class OutboxFigures(Model):
    """Deletions of memory that are still to be done."""

    waiting: int
    due: int
    oldest_due_seconds: float | None


class DatabaseFigures(Model):
    """The size and the use of Postgres."""

    bytes: int
    connections: int


class LastCleanup(Model):
    """The cleanup of everything that ran last; `report` is None if it failed."""

    started_at: datetime
    ended_at: datetime | None
    outcome: Literal["done", "unfinished", "failed"]
    report: CleanupSummary | None


class Statistics(Model):
    """How the deployment does."""

    sessions: SessionCounts
    messages_per_session: float
    memory: MemoryFigures
    turns: TurnCounts
    newest_turns: NewestTurns
    oldest_open_turn_seconds: float | None
    oldest_approval_seconds: float | None
    waiting_sessions: int
    outbox: OutboxFigures
    database: DatabaseFigures
    last_cleanup: LastCleanup | None


class TurnsOfSpan(Model):
    """What the turns that were begun in an hour or a day came to; seconds are to the reply.

    `estimated` where there were more turns than are looked at.
    """

    start: datetime
    turns: TurnCounts
    input_tokens: int
    output_tokens: int
    median_seconds: float | None
    p95_seconds: float | None
    estimated: bool


class TurnSeries(Model):
    """What turns came to, hour by hour or day by day of UTC, the oldest first."""

    by: Literal["hour", "day"]
    items: tuple[TurnsOfSpan, ...]


class UserBudget(Model):
    """What one user may spend.

    Attributes:
        tokens_per_day: What is set for this user alone; None is what the settings say.
        tokens_per_month: The same, in a month.
        usd_per_day: US dollars, likewise.
        usd_per_month: The same, in a month.
        limits: All limits that the user is under.
    """

    tokens_per_day: int | None
    tokens_per_month: int | None
    usd_per_day: Decimal | None
    usd_per_month: Decimal | None
    limits: tuple[BudgetLimit, ...]


class DeploymentBudget(Model):
    """What all users together may spend; without limits where the settings say none."""

    limits: tuple[BudgetLimit, ...]


class Renaming(Model):
    """What one call of rename put under the new id.

    `project` has what the project's own tables hold, by name; an older API does not tell of them.
    `waiting` sessions have a turn that is open; renaming again takes them when it is over, and then
    what the user has besides sessions.
    """

    sessions: int
    items: int
    project: dict[str, int] = Field(default_factory=dict)
    waiting: int
    done: bool


class Erasure(Model):
    """What one call of erase removed of a user.

    `project` has what the project's own tables held, by name, which is in `rows` too.
    `waiting` conversations could not be removed from the agent-session store yet; the hourly
    recovery does that.
    """

    sessions: int
    rows: int
    items: int
    bytes: int
    project: dict[str, int] = Field(default_factory=dict)
    waiting: int
    done: bool
