"""What is read of the tables, as frozen values: nothing above the repository sees a row.

Each is made of its row here, and may be made without one, where what a row would say is known. The
columns that a row must begin with stand below its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from parley.repository.states import SessionStatus, TurnStatus, WaitingFor
from parley.repository.tables import SESSIONS, TURNS, AnyRow
from parley.usage.spent import Spent

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Session:
    """One user's conversation with one agent.

    Attributes:
        memory_from: The number of the lowest turn that is not forgotten.
    """

    id: UUID
    user_id: str
    agent: str
    name: str | None
    platform: str
    status: SessionStatus
    status_reason: str | None
    metadata: Mapping[str, Any]
    memory_from: int
    idempotency_key: str | None
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime

    @classmethod
    def of(cls, row: AnyRow) -> Self:
        """Make the value of a row that begins with `SESSION`."""
        return cls(*row[: len(SESSION)])


SESSION = tuple(SESSIONS.c[field.name] for field in fields(Session))


@dataclass(frozen=True, slots=True)
class Turn:
    """One user message and all that the agent does until its reply.

    Attributes:
        attempt: The number of the attempt that has it now, or had it last.
        crashes: How many of its attempts died, or ended by a defect.
        error_code: Why it ended without a reply, for programs; None if it did not.
        spent: What its model calls came to, when it has ended.
        waiting_for: What it waits for, if it does.
        waiting_sequence: Where its log tells that it last waited, or is to; None if it never did.
    """

    id: UUID
    session_id: UUID
    user_id: str
    number: int
    status: TurnStatus
    attempt: int
    crashes: int
    agent: str
    spent: Spent
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error_code: str | None = None
    error_detail: str | None = None
    waiting_for: WaitingFor | None = None
    waiting_sequence: int | None = None

    @property
    def model_calls(self) -> int:
        """How often a model was called."""
        return self.spent.calls

    @property
    def input_tokens(self) -> int:
        """How many tokens went in, as far as that is known."""
        return self.spent.input or 0

    @property
    def output_tokens(self) -> int:
        """How many tokens came out, as far as that is known."""
        return self.spent.output or 0

    @classmethod
    def of(cls, row: AnyRow) -> Self:
        """Make the value of a row that begins with `TURN`."""
        return cls(
            id=row.id,
            session_id=row.session_id,
            user_id=row.user_id,
            number=row.number,
            status=row.status,
            attempt=row.attempt,
            crashes=row.crashes,
            agent=row.agent,
            spent=_spent(row),
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            error_code=row.error_code,
            error_detail=row.error_detail,
            waiting_for=row.waiting_for if row.status == "waiting" else None,
            waiting_sequence=row.waiting_sequence,
        )


TURN = tuple(
    TURNS.c[name]
    for name in (
        *(field.name for field in fields(Turn) if field.name != "spent"),
        *("model_calls", "uncounted_calls", "unpriced_calls", "cost_nanodollars"),
        *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"),
    )
)


def _spent(row: AnyRow) -> Spent:
    calls, uncounted = row.model_calls, row.uncounted_calls
    if not calls:
        return Spent()
    none_told = calls == uncounted
    return Spent(
        calls=calls,
        input=None if none_told and not row.input_tokens else row.input_tokens,
        cached=row.cached_tokens,
        output=None if none_told and not row.output_tokens else row.output_tokens,
        reasoning=row.reasoning_tokens,
        cost=row.cost_nanodollars,
        uncounted=uncounted,
        # Turns of the time before there were prices have none.
        unpriced=calls if row.cost_nanodollars is None else row.unpriced_calls,
    )


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that the user or the assistant said in a turn."""

    id: UUID
    turn_id: UUID
    role: Role
    content: str
    created_at: datetime


MESSAGE = tuple(field.name for field in fields(Message))
"""The names of its columns, since a statement may read two messages of a turn."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call of the model, or of a tool, as the transcript shows it.

    Attributes:
        name: The model's, or the tool's.
        milliseconds: How long it took; None where that is not known.
        error: The type of the exception that it failed with; None if it did not.
        ended_at: When it had answered, or a tool's output was recorded.
        call_id: The model's id of the call of a tool.
        spent: What the call of the model came to; None where it was not counted.
    """

    kind: Literal["model", "tool"]
    name: str
    milliseconds: int | None
    error: str | None
    ended_at: datetime
    call_id: str | None = None
    spent: Spent | None = None

    @classmethod
    def of_model(cls, step: Mapping[str, Any]) -> Self:
        """Make the value of what a turn's row has of a call."""
        return cls(
            kind="model",
            name=step["name"],
            milliseconds=step["milliseconds"],
            error=step["error"],
            ended_at=datetime.fromisoformat(step["ended_at"]),
            spent=Spent.from_json(step["spent"]) if step.get("spent") else None,
        )

    @classmethod
    def of_tool(cls, row: AnyRow) -> Self:
        """Make the value of a row."""
        return cls(
            kind="tool",
            call_id=row.call_id,
            name=row.name,
            milliseconds=row.output.get("milliseconds"),
            error=row.output.get("error"),
            ended_at=row.created_at,
        )
