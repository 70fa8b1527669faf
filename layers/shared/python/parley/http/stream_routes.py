"""The routes that tell a turn as it happens, each event with its number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from annotated_types import Interval
from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from parley.http.documented import answers
from parley.http.event_schemas import TurnEvent
from parley.http.idempotency import IdempotencyKey
from parley.http.numbers import IN_DIGITS
from parley.http.parts import Caller, MessageMaxChars
from parley.http.schemas import FirstMessageSending, MessageSending
from parley.http.sending import to_any_session, to_session
from parley.http.sessions import SessionId
from parley.http.sse import NumberedEvents
from parley.http.streamed import Following, Sending, StreamRouter
from parley.http.transcript import TurnId

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

router = StreamRouter()


def _path(resource: str) -> str:
    """Write a path as the router does."""
    return resource.replace("{", "<").replace("}", ">")


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
    max_chars: MessageMaxChars,
    session_id: SessionId,
    body: MessageSending,
    idempotency_key: IdempotencyKey = None,
) -> Sending:
    request = to_session(user, session_id, body, idempotency_key, max_chars=max_chars)
    wire = NumberedEvents("../turns/{turn_id}")
    return Sending(request, body.on_conflict == "enqueue", wire)


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
    max_chars: MessageMaxChars,
    body: FirstMessageSending,
    idempotency_key: IdempotencyKey = None,
) -> Sending:
    request = to_any_session(user, body, idempotency_key, max_chars=max_chars)
    wire = NumberedEvents("../sessions/{session_id}/turns/{turn_id}")
    return Sending(request, body.on_conflict == "enqueue", wire)


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
) -> Following:
    last = after if last_event_id is None else int(last_event_id)
    wire = NumberedEvents("../{turn_id}")
    return Following(user.user_id, session_id, turn_id, last, wire)
