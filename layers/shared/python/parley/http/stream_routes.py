"""The routes that answer with a stream: what they take is read here, as by any other route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from annotated_types import Interval
from aws_lambda_powertools.event_handler import Request, Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.depends import Depends
from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from parley.http.api import Api
from parley.http.body import body_max_bytes
from parley.http.documented import answers
from parley.http.event_schemas import TurnEvent
from parley.http.idempotency import IdempotencyKey
from parley.http.numbers import IN_DIGITS
from parley.http.parts import Caller, MessageMaxChars, parts_of
from parley.http.schemas import FirstMessageSending, MessageSending
from parley.http.sending import to_any_session, to_session
from parley.http.sessions import SessionId
from parley.http.sse import MEDIA_TYPE
from parley.http.transcript import TurnId
from parley.repository.turns import TurnRequest

SEND = "/sessions/{session_id}/messages/stream"
SEND_FIRST = "/messages/stream"
FOLLOW = "/sessions/{session_id}/turns/{turn_id}/events"

METHODS: Mapping[str, str] = {SEND: "POST", SEND_FIRST: "POST", FOLLOW: "GET"}
"""The paths, each with its only method."""

_SEQUENCE_MAX = 9_999_999_999
_SEQUENCE = r"^[0-9]{1,10}$"

_EVENTS = {
    "description": "The turn's events, each as one server-sent event: `id` is its sequence number.",
    "content": {"text/event-stream": {"model": TurnEvent}},
}
_SENT = answers({}, 400, 404, 409, 413, 415, 422) | {200: _EVENTS}
_STREAMED = (
    "The turn goes on if the reader goes away. Follow it for the rest, or send the message again"
    " with the same `Idempotency-Key`, which tells the same turn from its start. How the turn"
    " ended, its last event tells."
)


@dataclass(frozen=True, slots=True)
class Sending:
    """A message whose turn is to be streamed.

    Attributes:
        request: The turn wanted.
        enqueue: Whether to wait behind a turn that runs.
        to_session: Whether its path names the session.
    """

    request: TurnRequest
    enqueue: bool
    to_session: bool


@dataclass(frozen=True, slots=True)
class Following:
    """A turn to be followed, from its events after a sequence number on."""

    user_id: str
    session_id: UUID
    turn_id: UUID
    after: int


Wanted = Sending | Following


def _taker(request: Request) -> Callable[[Wanted], None]:
    """Return what is given what is to be streamed; what a route answers is the head of that."""
    take: Callable[[Wanted], None] = parts_of(request).take
    return take


Take = Annotated[Callable[[Wanted], None], Depends(_taker)]

router = Router()


def _path(resource: str) -> str:
    """Write a path as the router does."""
    return resource.replace("{", "<").replace("}", ">")


def _streamed(take: Take, wanted: Wanted) -> Response[str]:
    take(wanted)
    return Response(
        status_code=200,
        content_type=MEDIA_TYPE,
        body="",
        headers={"X-Accel-Buffering": "no"},
    )


@router.post(
    _path(SEND),
    operation_id="streamMessage",
    tags=["messages"],
    summary="Send a message and get the turn as it happens",
    description=_STREAMED,
    responses=_SENT,
)
def stream_message(
    user: Caller,
    take: Take,
    max_chars: MessageMaxChars,
    session_id: SessionId,
    body: MessageSending,
    idempotency_key: IdempotencyKey = None,
) -> Response[str]:
    request = to_session(user, session_id, body, idempotency_key, max_chars=max_chars)
    return _streamed(take, Sending(request, body.on_conflict == "enqueue", to_session=True))


@router.post(
    _path(SEND_FIRST),
    operation_id="streamFirstMessage",
    tags=["messages"],
    summary="Do the same in a session that is made if it is not there",
    description=f"One session, however often a first message is retried. {_STREAMED}",
    responses=_SENT,
)
def stream_first_message(
    user: Caller,
    take: Take,
    max_chars: MessageMaxChars,
    body: FirstMessageSending,
    idempotency_key: IdempotencyKey = None,
) -> Response[str]:
    request = to_any_session(user, body, idempotency_key, max_chars=max_chars)
    return _streamed(take, Sending(request, body.on_conflict == "enqueue", to_session=False))


@router.get(
    _path(FOLLOW),
    operation_id="followTurn",
    tags=["turns"],
    summary="Get a turn's events, from its start or from any other, and those to come",
    description=(
        "From any process, any number of readers at once. The stream ends with the turn's last"
        " event, or after about a minute: come back with `Last-Event-ID`, as browsers do by"
        " themselves. What a turn that nobody streamed lacks in events is told in short."
    ),
    responses=answers({204: "The turn is over, and no event comes after that one."}, 404, 422)
    | {200: _EVENTS},
)
def follow_turn(
    user: Caller,
    take: Take,
    session_id: SessionId,
    turn_id: TurnId,
    after: Annotated[
        int,
        Interval(ge=0, le=_SEQUENCE_MAX),
        IN_DIGITS,
        Query(description="Only events after this sequence number."),
    ] = 0,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            pattern=_SEQUENCE,
            description="The same, and counts if both are given.",
        ),
    ] = None,
) -> Response[str]:
    last = after if last_event_id is None else int(last_event_id)
    return _streamed(take, Following(user.user_id, session_id, turn_id, last))


class StreamRoutes:
    """Reads from requests what is to be streamed. For one thread."""

    def __init__(self, *, max_chars: int) -> None:
        """Make the routes.

        Args:
            max_chars: How long a message may be.
        """
        self._wanted: Wanted | None = None
        self.message_max_chars = max_chars
        self._api = Api([router], self, body_max_bytes=body_max_bytes(max_chars))

    def read(self, event: dict[str, Any]) -> tuple[dict[str, Any], Wanted | None]:
        """Give the response to an event; if all is well its head only, and what is to follow."""
        self._wanted = None
        response = self._api.answer(event, None)
        return response, self._wanted if response["statusCode"] == 200 else None

    def take(self, wanted: Wanted) -> None:
        """Keep what a route was asked for."""
        self._wanted = wanted
