"""The routes that send a message."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Self

from aws_lambda_powertools.event_handler import Request, Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from parley import loop
from parley.http.arrival import seconds_to_answer
from parley.http.documented import answers
from parley.http.idempotency import IdempotencyKey
from parley.http.parts import Caller, Deadline, MessageMaxChars, Sender
from parley.http.preferences import RESPOND_ASYNC, Prefer, responds_async
from parley.http.schemas import (
    AcceptedTurn,
    FirstMessageSending,
    MessageSending,
    TurnWithMessages,
)
from parley.http.sending import to_any_session, to_session
from parley.http.sessions import SessionId
from parley.repository.begin import MAX_QUEUED
from parley.repository.transcript import TurnView
from parley.repository.turns import TurnRequest
from parley.timing import GATEWAY_SECONDS, TURN_MARGIN_SECONDS
from parley.turns.send import QueuedTurn

RETRY_AFTER_MAX_SECONDS = 60
"""How long a client is asked to wait at most until it asks for a turn that waits: it is told by how
fast earlier turns were, and the next ones may be faster."""

Answered = TurnWithMessages | AcceptedTurn


def _body(described: str, model: type[Answered]) -> dict[str, Any]:
    return {"description": described, "content": {"application/json": {"model": model}}}


_ANSWERS = answers({}, 400, 404, 409, 413, 415, 422, 502, 504) | {
    201: _body("The completed turn, with both messages.", TurnWithMessages),
    202: _body(
        "The turn, which goes on; `Location` is where to read it. If it was to be waited for,"
        " `Retry-After` says in how many seconds to ask again; one that is `waiting` has none, and"
        " goes on when its `approvals` are decided on, and neither has one that is queued behind"
        " such a turn.",
        AcceptedTurn,
    ),
}
_HOW = (
    "The same `Idempotency-Key` gives the same turn and the same response: it joins a turn that"
    " runs, and replays one that is over (`Idempotent-Replayed: true`). With `Prefer:"
    " respond-async` the turn is left to a worker and the answer is 202, in every case but a"
    " refusal. Turns that wait run in the order in which they were accepted; at most"
    f" {MAX_QUEUED} may. Whoever waits for one of them is answered 202 as well, as soon as the time"
    " that the session's last turns took says that it will not be over before the gateway hangs"
    f" up, and within {GATEWAY_SECONDS:g} seconds in any case; sent again with its key, the message"
    " is waited for again."
)


router = Router()


@router.post(
    "/sessions/<session_id>/messages",
    status_code=201,
    operation_id="sendMessage",
    tags=["messages"],
    summary="Send a message, and wait for the reply or not",
    description=_HOW,
    responses=_ANSWERS,
)
def send_message(
    user: Caller,
    sender: Sender,
    max_chars: MessageMaxChars,
    deadline: Deadline,
    http: Request,
    session_id: SessionId,
    body: MessageSending,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response[Answered]:
    wanted = to_session(user, session_id, body, idempotency_key, max_chars=max_chars)
    waits = None if responds_async(prefer) else _Waits.of(http, deadline)
    return _answered(sender, wanted, waits, enqueue=body.on_conflict == "enqueue")


@router.post(
    "/messages",
    status_code=201,
    operation_id="sendFirstMessage",
    tags=["messages"],
    summary="Send a message to a session that is made if it is not there",
    description=f"One session, however often a first message is retried. {_HOW}",
    responses=_ANSWERS,
)
def send_first_message(
    user: Caller,
    sender: Sender,
    max_chars: MessageMaxChars,
    deadline: Deadline,
    http: Request,
    body: FirstMessageSending,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response[Answered]:
    wanted = to_any_session(user, body, idempotency_key, max_chars=max_chars)
    waits = None if responds_async(prefer) else _Waits.of(http, deadline)
    return _answered(
        sender, wanted, waits, enqueue=body.on_conflict == "enqueue", names_session=False
    )


@dataclass(frozen=True, slots=True)
class _Waits:
    """How long a turn is waited for, in seconds: at most, and behind others."""

    seconds: float
    patience: float

    @classmethod
    def of(cls, http: Request, deadline: Deadline) -> Self:
        """Read it from a request."""
        seconds = deadline.before(TURN_MARGIN_SECONDS).left()
        return cls(seconds, seconds_to_answer(http.resolved_event.raw_event))


def _answered(
    sender: Sender,
    wanted: TurnRequest,
    waits: _Waits | None,
    *,
    enqueue: bool,
    names_session: bool = True,
) -> Response[Answered]:
    """Send a message and return the answer.

    Args:
        sender: Sends it.
        wanted: The turn.
        waits: How long to wait for it; None to leave it to a worker.
        enqueue: Whether to wait behind a turn that runs.
        names_session: Whether the request's path does, which `Location` is relative to.
    """
    if waits is None:
        queued = loop.run(sender.queue(wanted, enqueue=enqueue))
        headers = _headers(queued.view, replayed=queued.replayed, names_session=names_session)
        headers["Preference-Applied"] = RESPOND_ASYNC
        return _json(202, AcceptedTurn.of(queued.view), headers)
    sent = loop.run(
        sender.send(wanted, seconds=waits.seconds, patience=waits.patience, enqueue=enqueue)
    )
    headers = _headers(sent.view, replayed=sent.replayed, names_session=names_session)
    if isinstance(sent, QueuedTurn):
        if not sent.view.stands_still:
            headers["Retry-After"] = str(_asked_again_after(sent.least_seconds))
        return _json(202, AcceptedTurn.of(sent.view), headers)
    return _json(201, TurnWithMessages.of(sent.view), headers)


def _headers(view: TurnView, *, replayed: bool, names_session: bool) -> dict[str, str]:
    # Relative to the request, which may be below a stage or a domain's base path.
    path = f"turns/{view.turn.id}"
    if not names_session:
        path = f"sessions/{view.turn.session_id}/{path}"
    return {"Location": path} | ({"Idempotent-Replayed": "true"} if replayed else {})


def _asked_again_after(least_seconds: float) -> int:
    """Return after how many seconds a turn that is left to others is worth being asked for."""
    return min(max(ceil(least_seconds), 1), RETRY_AFTER_MAX_SECONDS)


def _json(status: int, body: Answered, headers: dict[str, str]) -> Response[Answered]:
    return Response(status_code=status, content_type="application/json", body=body, headers=headers)
