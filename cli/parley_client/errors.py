"""What a call can raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


class ParleyError(Exception):
    """A call did not give its result."""


class NotSendable(ParleyError, ValueError):
    """An argument cannot be put into a request; nothing was sent."""


class Unreachable(ParleyError):
    """No answer came.

    Attributes:
        url: The API's address.
        reason: What happened to the last try.
        perhaps_done: Whether a try may have arrived, and done what it asked for.
    """

    def __init__(self, url: str, reason: str, *, perhaps_done: bool) -> None:
        super().__init__(f"{url} cannot be reached: {reason}")
        self.url = url
        self.reason = reason
        self.perhaps_done = perhaps_done


class UnexpectedAnswer(ParleyError):
    """An answer came that is none of Parley's."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} does not answer as Parley does (status {status})")
        self.url = url
        self.status = status


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the request."""

    field: str
    reason: str


@dataclass(eq=False)
class ApiError(ParleyError):
    """The API refused: its problem document (RFC 9457).

    Attributes:
        status: The HTTP status.
        code: For programs: `not_found`, `session_not_active`, `turn_in_progress`, …; empty where
            what stands before the API refused in words of its own.
        title: The status in words.
        detail: What is wrong, for people.
        errors: The fields that cannot be taken.
        request_id: Helps to find the request in the logs.
        session_id: The session that it is about.
        session_status: What that session is instead of active.
        turn_id: The turn that is in the way, failed, or goes on.
        limit: The limit that was reached, by its setting.
        retry_after: In how many seconds to ask again; None where waiting is of no use, or nobody
            knows.
    """

    status: int
    code: str = ""
    title: str = ""
    detail: str = ""
    errors: tuple[FieldError, ...] = field(default=())
    request_id: str | None = None
    session_id: UUID | None = None
    session_status: str | None = None
    turn_id: UUID | None = None
    limit: str | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.code or self.title}: {self.detail}"
