"""The one table of what a client is told of an error: problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any, Literal

from aws_lambda_powertools.event_handler.exceptions import ServiceError
from pydantic import BaseModel, ConfigDict

from parley import errors
from parley.repository.fair_use import in_money
from parley.repository.streams import LIMIT
from parley.turns.budget import no_room
from parley.usage.told import dollars

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
STREAM_RETRY_SECONDS = 60
"""After how long at most a reader without a place is told to come back."""
FAULTS_MAX = 20
"""How many fields an answer names: a body may have thousands that nobody knows."""
NAME_MAX_CHARS = 200
"""How much of such a field's name it says."""


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str
    reason: str


class Problem(BaseModel):
    """An error, for people (`title`, `detail`) and for programs (`code`)."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None
    session_id: str | None = None
    session_status: str | None = None
    turn_id: str | None = None
    limit: str | None = None
    budget: int | str | None = None
    used: int | str | None = None
    held: int | str | None = None
    expected: int | str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say of an error; `facts` are further members of the document."""

    status: HTTPStatus
    code: str
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class MalformedBody(errors.ParleyError):
    """The body is not JSON, or holds what no JSON of ours may."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BodyTooLarge(errors.ParleyError):
    """The body has more bytes, or holds more values, than any request of its route needs."""

    def __init__(self, limit: int, unit: Literal["bytes", "values"]) -> None:
        super().__init__(f"more than {limit} {unit}")
        self.limit, self.unit = limit, unit


class UnsupportedMediaType(errors.ParleyError):
    """The body says that it is something else than JSON."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


class MethodNotAllowed(errors.ParleyError):
    """The route is there, but not for this method."""

    def __init__(self, allowed: str) -> None:
        super().__init__(f"only {allowed}")
        self.allowed = allowed


class InvalidFields(errors.ParleyError):
    """Fields of the request cannot be taken; nothing was changed."""

    def __init__(self, faults: list[FieldError]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.reason}" for fault in faults))
        self.faults = faults


def answer(error: Exception) -> Answer:
    """Say what a client is told of an error, by its class or the nearest one above it.

    An error that the table does not know is a defect of ours: 500, and nothing of it is told.
    """
    return next(_ANSWERS[kind] for kind in type(error).__mro__ if kind in _ANSWERS)(error)


def _told(
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    facts: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Callable[[Any], Answer]:
    """Return what makes the answer to an error.

    Args:
        status: The answer's.
        code: The answer's; like the detail, with attributes of the error in braces.
        detail: A sentence.
        facts: Attributes of the error that are further members of the document.
        headers: The answer's; with attributes too.
    """

    def of(error: Exception) -> Answer:
        known = vars(error)
        return Answer(
            status,
            code.format_map(known),
            detail.format_map(known),
            {name: str(known[name]) for name in facts},
            {name: value.format_map(known) for name, value in (headers or {}).items()},
        )

    return of


def _invalid(faults: list[FieldError]) -> Answer:
    more = len(faults) - FAULTS_MAX
    faults = faults[:FAULTS_MAX]
    told = "; ".join(f"{fault.field}: {fault.reason}" for fault in faults)
    if more > 0:
        told += f"; and {more} more"
    return Answer(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_field",
        told,
        {"errors": [fault.model_dump() for fault in faults]},
    )


def _not_active(error: errors.SessionNotActive | errors.SessionEscalated) -> Answer:
    if isinstance(error, errors.SessionEscalated):
        code, status = "session_escalated", "escalated"
    else:
        code, status = "session_not_active", error.status
    way_on = (
        "a person has to see to it, who sets it back to active."
        if status == "escalated"
        else "set its status to active to go on with it."
    )
    facts = {"session_id": str(error.session_id), "session_status": status}
    return Answer(HTTPStatus.CONFLICT, code, f"The session is {status}: {way_on}", facts)


def _turn_waiting(error: errors.TurnWaiting) -> Answer:
    ways_on = (
        "Decide, cancel it, or send with on_conflict set to enqueue."
        if error.may_enqueue
        else "Nothing of this message is kept: answer what it asks for, or cancel it, and send the"
        " message again."
    )
    detail = f"The turn {error.turn_id} of this session waits for a decision. {ways_on}"
    facts = {"session_id": str(error.session_id), "turn_id": str(error.turn_id)}
    return Answer(HTTPStatus.CONFLICT, "turn_waiting", detail, facts)


def _turn_over(error: errors.TurnFailed) -> Answer:
    cancelled = error.status == "cancelled"
    return Answer(
        HTTPStatus.CONFLICT if cancelled else HTTPStatus.BAD_GATEWAY,
        "turn_cancelled" if cancelled else error.code,
        error.detail,
        {"session_id": str(error.session_id), "turn_id": str(error.turn_id)},
    )


def _of_a_project(error: ServiceError) -> Answer:
    """Tell what a route of a project's own says, by raising one of Powertools' errors."""
    try:
        status = HTTPStatus(error.status_code)
    except ValueError:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    return Answer(status, status.name.lower(), str(error.msg))


def _limit_reached(error: errors.LimitReached) -> Answer:
    """Say which limit it is; and how long to wait, where waiting is all that it takes."""
    if error.used is not None:
        return _no_room(error)
    told = _REACHED.get(error.limit, _REACHED_OF_A_PROJECT)
    wait = None if error.renews is None else max(1, ceil(error.renews))
    detail = told.format(limit=error.limit, most=error.most, wait=wait)
    facts = {"limit": error.limit}
    if wait is None:
        return Answer(HTTPStatus.CONFLICT, "limit_reached", detail, facts)
    if error.limit != LIMIT:
        return _later("limit_reached", detail, facts, wait)
    # Some stream may be over before its time.
    return _later("too_many_streams", detail, facts, min(wait, STREAM_RETRY_SECONDS))


def _no_room(error: errors.LimitReached) -> Answer:
    """Say which budget has no room; without a time where none helps."""
    tell: Callable[[int], int | str] = dollars if in_money(error.limit) else int
    facts: dict[str, Any] = {"limit": error.limit, "budget": tell(error.most)}
    facts |= {name: tell(vars(error)[name] or 0) for name in ("used", "held", "expected")}
    code, detail = "budget_exceeded", no_room(error)
    if error.renews is None:
        return Answer(HTTPStatus.CONFLICT, code, detail, facts)
    return _later(code, detail, facts, max(1, ceil(error.renews)))


def _later(code: str, detail: str, facts: Mapping[str, Any], seconds: int) -> Answer:
    headers = {"Retry-After": str(seconds)}
    return Answer(HTTPStatus.TOO_MANY_REQUESTS, code, detail, facts, headers)


_REACHED = {
    "user_max_open_turns": (
        "{most} turns of yours are open already, those that wait for a decision among them; more"
        " may not be."
    ),
    "user_turns_per_minute": "{most} turns were begun within a minute; more may not be.",
    LIMIT: (
        "{most} streams of yours are read already; more may not be. The first is over in {wait}"
        " seconds, if not before."
    ),
    "user_max_sessions": "You have {most} sessions; delete some before you make another.",
    "user_max_metadata_bytes": (
        "The metadata of all your sessions together may have {most} bytes as JSON."
    ),
}
"""What is said of each limit that a user can reach, by its setting."""

_REACHED_OF_A_PROJECT = "The limit {limit} is {most}, and is reached."

_SESSION = ("session_id",)
_TURN = ("session_id", "turn_id")

_ANSWERS: dict[type[BaseException], Callable[[Any], Answer]] = {
    # Who asks
    errors.Unauthenticated: _told(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        "A valid bearer token is needed.",
        headers={"WWW-Authenticate": "Bearer"},
    ),
    errors.MissingScope: _told(HTTPStatus.FORBIDDEN, "forbidden", "This needs the scope {scope}."),
    errors.MayNotDecide: _told(
        HTTPStatus.FORBIDDEN,
        "forbidden",
        "You may not decide on this: {decider} may, as its tool says.",
    ),
    errors.NotFound: _told(HTTPStatus.NOT_FOUND, "not_found", "There is no such {kind}."),
    # What is asked
    MethodNotAllowed: _told(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This takes {allowed} only.",
        headers={"Allow": "{allowed}"},
    ),
    MalformedBody: _told(HTTPStatus.BAD_REQUEST, "bad_request", "The body is not JSON: {reason}."),
    BodyTooLarge: _told(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "content_too_large",
        "A body may have {limit} {unit} at most.",
    ),
    UnsupportedMediaType: _told(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The body must be application/json.",
    ),
    InvalidFields: lambda error: _invalid(error.faults),
    errors.InvalidField: lambda error: _invalid(
        [FieldError(field=error.field, reason=error.reason)]
    ),
    errors.IdempotencyKeyReused: _told(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "This Idempotency-Key came with another request before.",
    ),
    # What stands against it
    errors.NameTaken: _told(
        HTTPStatus.CONFLICT, "name_taken", "Another session of yours is named {name!r}."
    ),
    errors.SessionEscalated: _not_active,
    errors.SessionNotActive: _not_active,
    errors.TurnInProgress: _told(
        HTTPStatus.CONFLICT,
        "turn_in_progress",
        "The turn {turn_id} of this session is still running.",
        facts=_TURN,
    ),
    errors.TurnWaiting: _turn_waiting,
    errors.AlreadyDecided: _told(
        HTTPStatus.CONFLICT,
        "already_decided",
        "The approval is {decision} already.",
        facts=("approval_id", "decision"),
    ),
    errors.QueueFull: _told(
        HTTPStatus.CONFLICT,
        "queue_full",
        "{limit} turns wait on this session already; more may not.",
        facts=_SESSION,
    ),
    errors.LimitReached: _limit_reached,
    # What became of it
    errors.TurnFailed: _turn_over,
    errors.TurnUnfinished: _told(
        HTTPStatus.GATEWAY_TIMEOUT,
        "turn_timeout",
        "The turn goes on. Send the same request with the same Idempotency-Key to join it, or read"
        " the turn.",
        facts=_TURN,
    ),
    errors.StoreUnavailable: _told(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "store_unavailable",
        "A store cannot be reached now. Nothing was lost; send the same request again.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    ),
    ServiceError: _of_a_project,
    BaseException: _told(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "Something went wrong on our side. The request id helps to find it in the logs.",
    ),
}
