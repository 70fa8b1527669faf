"""The one place where errors become responses: problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from parley import errors

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
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
    """Say what a client is told of an error.

    An error that this does not know is a defect of ours: 500, and nothing of it is told.
    """
    match error:
        case errors.Unauthenticated():
            return Answer(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "A valid bearer token is needed.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        case errors.MissingScope(scope=scope):
            return Answer(HTTPStatus.FORBIDDEN, "forbidden", f"This needs the scope {scope}.")
        case errors.NotFound(kind=kind):
            return Answer(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {kind}.")
        case MalformedBody(reason=reason):
            return Answer(HTTPStatus.BAD_REQUEST, "bad_request", f"The body is not JSON: {reason}.")
        case BodyTooLarge(limit=limit, unit=unit):
            return Answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "content_too_large",
                f"A body may have {limit} {unit} at most.",
            )
        case UnsupportedMediaType():
            return Answer(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body must be application/json.",
            )
        case MethodNotAllowed(allowed=allowed):
            return Answer(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method_not_allowed",
                f"This takes {allowed} only.",
                headers={"Allow": allowed},
            )
        case InvalidFields(faults=faults):
            return _invalid(faults)
        case errors.InvalidField(field=name, reason=reason):
            return _invalid([FieldError(field=name, reason=reason)])
        case errors.StoreUnavailable():
            return Answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "store_unavailable",
                "A store cannot be reached now. Nothing was lost; send the same request again.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        case _:
            return _conflict(error) or _turn(error) or _UNKNOWN


_ESCALATED = "a person has to see to it, who sets it back to active."

_UNKNOWN = Answer(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error",
    "Something went wrong on our side. The request id helps to find it in the logs.",
)


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


def _conflict(error: Exception) -> Answer | None:
    match error:
        case errors.TurnInProgress(session_id=session_id, turn_id=turn_id):
            return Answer(
                HTTPStatus.CONFLICT,
                "turn_in_progress",
                f"The turn {turn_id} of this session is still running.",
                {"session_id": str(session_id), "turn_id": str(turn_id)},
            )
        case errors.SessionEscalated(session_id=session_id):
            return Answer(
                HTTPStatus.CONFLICT,
                "session_escalated",
                f"The session is escalated: {_ESCALATED}",
                {"session_id": str(session_id), "session_status": "escalated"},
            )
        case errors.SessionNotActive(session_id=session_id, status=status):
            way_on = "set its status to active to go on with it."
            return Answer(
                HTTPStatus.CONFLICT,
                "session_not_active",
                f"The session is {status}: {_ESCALATED if status == 'escalated' else way_on}",
                {"session_id": str(session_id), "session_status": status},
            )
        case errors.QueueFull(session_id=session_id, limit=limit):
            return Answer(
                HTTPStatus.CONFLICT,
                "queue_full",
                f"{limit} turns wait on this session already; more may not.",
                {"session_id": str(session_id)},
            )
        case errors.NameTaken(name=name):
            return Answer(
                HTTPStatus.CONFLICT, "name_taken", f"Another session of yours is named {name!r}."
            )
        case errors.IdempotencyKeyReused():
            return Answer(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key came with another request before.",
            )
        case _:
            return None


def _turn(error: Exception) -> Answer | None:
    match error:
        case errors.TurnFailed(
            session_id=session_id, turn_id=turn_id, status="cancelled", detail=detail
        ):
            return Answer(
                HTTPStatus.CONFLICT,
                "turn_cancelled",
                detail,
                {"session_id": str(session_id), "turn_id": str(turn_id)},
            )
        case errors.TurnFailed(session_id=session_id, turn_id=turn_id, code=code, detail=detail):
            return Answer(
                HTTPStatus.BAD_GATEWAY,
                code,
                detail,
                {"session_id": str(session_id), "turn_id": str(turn_id)},
            )
        case errors.TurnUnfinished(session_id=session_id, turn_id=turn_id):
            return Answer(
                HTTPStatus.GATEWAY_TIMEOUT,
                "turn_timeout",
                "The turn goes on. Send the same request with the same Idempotency-Key to join"
                " it, or read the turn.",
                {"session_id": str(session_id), "turn_id": str(turn_id)},
            )
        case _:
            return None
