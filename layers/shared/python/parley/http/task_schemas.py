"""What requests and responses about tasks look like; the OpenAPI document is made of it."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StrictBool

from parley.http.schemas import WORDED, RequestBody, Time, example, worded
from parley.repository import values
from parley.repository.tasks import DUE_FROM, DUE_UNTIL, NOTES_MAX_CHARS, TITLE_MAX_CHARS

TEXTS_MAX_CHARS = TITLE_MAX_CHARS + NOTES_MAX_CHARS
"""What a task's texts may have together."""

Title = Annotated[
    str,
    Field(
        min_length=1,
        max_length=TITLE_MAX_CHARS,
        description="What is to be done.",
        json_schema_extra={**WORDED},
    ),
    AfterValidator(worded),
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


class TaskCreation(RequestBody):
    """A task to be made."""

    model_config = example(title="buy milk", notes="two bottles")

    title: Title
    notes: Notes | None = None
    due_at: DueAt | None = None


class TaskChange(RequestBody):
    """What to change; fields that are not given stay as they are."""

    model_config = example(completed=True)

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
    def of(cls, task: values.Task) -> Self:
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
