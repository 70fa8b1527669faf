"""What requests and responses about tasks look like; the OpenAPI document is made of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
)
from pydantic_core import PydanticCustomError

from tasks_desk import table
from tasks_desk.tasks import DUE_FROM, DUE_UNTIL, NOTES_MAX_CHARS, TITLE_MAX_CHARS


def _worded(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "is empty")
    return text


def _word(given: object) -> object:
    if isinstance(given, str) and given not in ("true", "false"):
        raise PydanticCustomError("bool_word", "must be true or false")
    return given


IN_WORDS = BeforeValidator(_word)
"""Makes yes and no in a query `true` and `false`: Pydantic also takes `1`, `on`, `Y`, …"""

Time = Annotated[
    datetime,
    PlainSerializer(
        lambda time: time.astimezone(UTC).isoformat().replace("+00:00", "Z"), return_type=str
    ),
    Field(json_schema_extra={"format": "date-time"}),
]
Title = Annotated[
    str,
    Field(
        min_length=1,
        max_length=TITLE_MAX_CHARS,
        description="What is to be done.",
        json_schema_extra={"pattern": r"\S"},
    ),
    AfterValidator(_worded),
]
Notes = Annotated[str, Field(max_length=NOTES_MAX_CHARS, description="More about it.")]
DueAt = Annotated[
    AwareDatetime,
    Field(
        ge=DUE_FROM,
        le=DUE_UNTIL,
        description=f"From the year {DUE_FROM.year} to {DUE_UNTIL.year}, with its offset.",
    ),
]


class TaskCreation(BaseModel):
    """A task to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "buy milk", "notes": "two bottles"}]},
    )

    title: Title
    notes: Notes | None = None
    due_at: DueAt | None = None


class TaskChange(BaseModel):
    """What to change; fields that are not given stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"completed": True}]})

    # The defaults are never used: only fields that are given count.
    title: Title = Field(default_factory=str)
    notes: Notes | None = Field(None, description="The new notes; null takes them away.")
    due_at: DueAt | None = Field(None, description="The new time; null takes it away.")
    completed: StrictBool = Field(
        default_factory=bool, description="Whether it is done; what is done stays done since then."
    )


class Task(BaseModel):
    """Something that the user has to do."""

    id: UUID
    title: str
    notes: str | None
    due_at: Time | None
    completed_at: Time | None
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, task: table.Task) -> Self:
        """Show a task."""
        return cls(
            id=task.id,
            title=task.title,
            notes=task.notes,
            due_at=task.due_at,
            completed_at=task.completed_at,
            created_at=task.created_at,
            updated_at=task.updated_at,
        )


class TaskList(BaseModel):
    """A page of tasks."""

    items: list[Task]
    next_cursor: str | None
