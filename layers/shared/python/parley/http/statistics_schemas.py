"""How administrators are shown the deployment's figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from parley.http.admin_schemas import CleanupKind, Counted, Failure
from parley.http.schemas import Time
from parley.repository import statistics, turn_series
from parley.repository.progress import Progress
from parley.repository.states import STATUSES
from parley.repository.statistics import Standing


class SessionCounts(BaseModel):
    """Sessions by status."""

    active: int
    ended: int
    escalated: int


class MemoryFigures(BaseModel):
    """What agents remember."""

    items_per_session: float = Field(
        description="Average over the sessions last active that have memory."
    )
    sampled_sessions: int = Field(description="Over how many.")
    turns: int = Field(description="Items of the store, one a turn; DynamoDB says it hours late.")
    bytes: int = Field(description="Their size; DynamoDB says it hours late.")


class TurnCounts(BaseModel):
    """Turns by status."""

    queued: int
    running: int
    waiting: int
    completed: int
    failed: int
    cancelled: int

    @classmethod
    def of(cls, counted: Mapping[str, int]) -> Self:
        """Show the counts; a status that is not among them is one that no turn has."""
        return cls(**{name: counted.get(name, 0) for name in STATUSES})


class FailureCount(BaseModel):
    """How many turns failed with a code, of an agent."""

    agent: str
    code: str
    turns: int


class NewestTurns(BaseModel):
    """What the newest turns of the last 24 hours came to, at most 1,000."""

    looked_at: int
    input_tokens: int
    output_tokens: int
    median_seconds: float | None = Field(description="From a message to its reply.")
    p95_seconds: float | None
    failures: list[FailureCount] = Field(description="The most frequent first.")

    @classmethod
    def of(cls, newest: statistics.NewestTurns) -> Self:
        """Show what they came to."""
        return cls.model_validate(asdict(newest))


class OutboxFigures(BaseModel):
    """Conversations whose memory must still be removed."""

    waiting: int
    due: int
    oldest_due_seconds: float | None


class DatabaseFigures(BaseModel):
    """The database; its connections are those of all programs."""

    bytes: int
    connections: int


class CleanupSummary(BaseModel):
    """What a cleanup did, without the sessions that a dry run lists."""

    dry_run: bool
    done: bool
    next_cursor: str | None
    seconds: float
    kinds: dict[CleanupKind, Counted]
    failures: list[Failure]


class LastCleanup(BaseModel):
    """The last cleanup of everything. `report` is null if it failed."""

    started_at: Time
    ended_at: Time | None
    outcome: Literal["done", "unfinished", "failed"]
    report: CleanupSummary | None

    @classmethod
    def of(cls, progress: Progress) -> Self:
        """Show how it stands."""
        report: dict[str, Any] = progress.report or {}
        outcome: Literal["done", "unfinished", "failed"] = "done"
        if "error" in report:
            outcome = "failed"
        elif progress.ended_at is None or progress.cursor is not None:
            outcome = "unfinished"
        return cls(
            started_at=progress.started_at,
            ended_at=progress.ended_at,
            outcome=outcome,
            report=CleanupSummary(**report) if "kinds" in report else None,
        )


class Statistics(BaseModel):
    """How the deployment stands. `turns` are those begun in the last 24 hours.

    Numbers of sessions, messages, turns and of the outbox above 10,000 are Postgres's estimates.
    """

    sessions: SessionCounts
    messages_per_session: float
    memory: MemoryFigures
    turns: TurnCounts
    newest_turns: NewestTurns
    oldest_open_turn_seconds: float | None = Field(
        description="Those that wait for a decision, and those behind them, are not meant."
    )
    oldest_approval_seconds: float | None = Field(
        description="For how long that one has waited which was asked for first."
    )
    waiting_sessions: int = Field(description="Sessions with a turn that nobody carries on.")
    outbox: OutboxFigures
    database: DatabaseFigures
    last_cleanup: LastCleanup | None

    @classmethod
    def of(
        cls,
        standing: Standing,
        *,
        messages: int,
        memory: MemoryFigures,
        turns: Mapping[str, int],
        newest_turns: statistics.NewestTurns,
        cleanup: Progress | None,
    ) -> Self:
        """Show the figures."""
        sessions = SessionCounts(
            active=standing.active, ended=standing.ended, escalated=standing.escalated
        )
        every = sum(sessions.model_dump().values())
        return cls(
            sessions=sessions,
            messages_per_session=messages / every if every else 0.0,
            memory=memory,
            turns=TurnCounts.of(turns),
            newest_turns=NewestTurns.of(newest_turns),
            oldest_open_turn_seconds=standing.oldest_open_turn_seconds,
            oldest_approval_seconds=standing.oldest_approval_seconds,
            waiting_sessions=standing.waiting_sessions,
            outbox=OutboxFigures(
                waiting=standing.outbox_waiting,
                due=standing.outbox_due,
                oldest_due_seconds=standing.outbox_due_seconds,
            ),
            database=DatabaseFigures(
                bytes=standing.database_bytes, connections=standing.connections
            ),
            last_cleanup=None if cleanup is None else LastCleanup.of(cleanup),
        )


class TurnsOfSpan(BaseModel):
    """What the turns that were begun in an hour or a day came to."""

    start: Time = Field(description="When the hour or the day began.")
    turns: TurnCounts
    input_tokens: int
    output_tokens: int
    median_seconds: float | None = Field(description="From a message to its reply.")
    p95_seconds: float | None
    estimated: bool = Field(
        description="Whether there were more than 1,000, of which the newest stand for all."
    )


class TurnSeries(BaseModel):
    """What turns came to, hour by hour or day by day, the oldest first."""

    by: turn_series.Span
    items: list[TurnsOfSpan]

    @classmethod
    def of(cls, by: turn_series.Span, spans: Iterable[turn_series.TurnsOfSpan]) -> Self:
        """Show the figures."""
        items = [
            TurnsOfSpan.model_validate(asdict(span) | {"turns": TurnCounts.of(span.turns)})
            for span in spans
        ]
        return cls(by=by, items=items)
