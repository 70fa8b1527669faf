"""What administrators send and get."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal, Self
from uuid import UUID

from annotated_types import Interval
from pydantic import AfterValidator, BaseModel, Field, StrictBool

from parley.cleanup import report
from parley.cleanup.retention import CleanupRequest
from parley.http.numbers import A_NUMBER
from parley.http.paging import CURSOR
from parley.http.schemas import (
    WORDED,
    Platform,
    RequestBody,
    Session,
    Time,
    example,
    worded,
)
from parley.repository import values
from parley.repository.expired_sessions import Scope
from parley.repository.states import SessionStatus
from parley.users.erasure import Erased
from parley.users.renaming import Renamed

CleanupKind = Literal[
    "closed_sessions", "empty_sessions", "memory", "keys", "audit_records", "orphaned_memory"
]


NOTE_MAX_CHARS = 8_000


class AdminSession(Session):
    """A session, and whose it is."""

    user_id: str

    @classmethod
    def of(cls, session: values.Session) -> Self:
        """Show a session."""
        return cls(**Session.of(session).model_dump(), user_id=session.user_id)


class AdminSessionList(BaseModel):
    """A page of sessions."""

    items: list[AdminSession]
    next_cursor: str | None


class StatusChange(RequestBody):
    """What a session's status is to be; only an active session runs turns."""

    model_config = example(status="active", note="Your parcel is on its way. Anna, support")

    status: SessionStatus
    note: (
        Annotated[
            str,
            Field(min_length=1, max_length=NOTE_MAX_CHARS, json_schema_extra={**WORDED}),
            AfterValidator(worded),
        ]
        | None
    ) = Field(
        None,
        description=(
            "What the user is told, and the agent is shown as the last thing that was said: it"
            " stands in the transcript as the assistant's."
        ),
    )


class Cleaning(RequestBody):
    """What to clean up.

    With `platform`, `name_prefix` or `user_id` only such sessions are come to, and neither keys
    nor memory that has expired or whose session is gone.
    """

    model_config = example(dry_run=True)

    dry_run: StrictBool = Field(False, description="Only say what would go.")
    older_than_seconds: Annotated[int, Interval(ge=0, le=3_153_600_000), A_NUMBER] | None = Field(
        None,
        description=(
            "Since when closed and empty sessions must have been inactive; null for the configured"
            " ages. Memory expires by an age of its own."
        ),
    )
    platform: Platform | None = None
    name_prefix: str | None = Field(None, min_length=1, max_length=200)
    user_id: str | None = Field(None, min_length=1, max_length=1000)
    cursor: str | None = Field(
        None,
        max_length=2000,
        pattern=CURSOR,
        description="The `next_cursor` of the report to go on from.",
    )

    def request(self) -> CleanupRequest:
        """Return what is asked for."""
        return CleanupRequest(
            dry_run=self.dry_run,
            older_than_seconds=self.older_than_seconds,
            scope=Scope(self.platform, self.name_prefix, self.user_id),
            cursor=self.cursor,
        )


class Counted(BaseModel):
    """How much of one kind went, or would go.

    `items` are those of the agent-session store, one a turn.
    """

    found: int
    rows: int
    items: int
    bytes: int
    failures: int


class Failure(BaseModel):
    """Something that could not be removed and stays due."""

    kind: CleanupKind
    subject: str
    reason: str


class ListedSession(BaseModel):
    """A session of which something would go."""

    kind: CleanupKind
    session_id: UUID
    user_id: str
    name: str | None
    last_activity_at: Time
    rows: int
    items: int
    bytes: int


class CleanupReport(BaseModel):
    """What a cleanup did, or in a dry run would do.

    Where it is not `done`, time was up: the same request with `next_cursor` goes on. `sessions`
    lists what a dry run found, at most about 600 a report; `failures` names the first 20.
    """

    dry_run: bool
    done: bool
    next_cursor: str | None
    seconds: float
    kinds: dict[CleanupKind, Counted]
    failures: list[Failure]
    sessions: list[ListedSession]

    @classmethod
    def of(cls, said: report.CleanupReport) -> Self:
        """Show a report."""
        return cls.model_validate(asdict(said) | {"done": said.done})


class UserRename(RequestBody):
    """The id under which a user goes on."""

    model_config = example(new_user_id="auth0|anna")

    new_user_id: str = Field(min_length=1, max_length=1000, description="As tokens will name them.")


class Renaming(BaseModel):
    """What goes under the new id now.

    `project` has what the project's own tables hold, by name. `waiting` sessions were left because
    a turn of theirs is open, or waits for a decision: renaming again takes them when it is over,
    and then what the user has besides sessions. Where it is not `done` and none is `waiting`, time
    was up: renaming again goes on.
    """

    sessions: int
    items: int
    project: dict[str, int] = Field(default_factory=dict)
    waiting: int
    done: bool

    @classmethod
    def of(cls, renamed: Renamed) -> Self:
        """Show what was renamed."""
        return cls.model_validate(asdict(renamed))


class Erasure(BaseModel):
    """What was erased of a user.

    `project` has what the project's own tables held, by name, which is in `rows` too. `waiting`
    conversations could not be removed from the agent-session store yet; the hourly recovery does.
    Where it is not `done`, time was up: erasing again goes on.
    """

    sessions: int
    rows: int
    items: int
    bytes: int
    project: dict[str, int] = Field(default_factory=dict)
    waiting: int
    done: bool

    @classmethod
    def of(cls, erased: Erased) -> Self:
        """Show what was erased."""
        return cls.model_validate(asdict(erased))
