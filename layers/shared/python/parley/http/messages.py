"""The routes that send a message."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.depends import Depends

from parley import loop
from parley.errors import InvalidField
from parley.http.api import caller
from parley.http.documented import answers
from parley.http.idempotency import IdempotencyKey, fingerprint
from parley.http.identity import Caller
from parley.http.schemas import FirstMessageSending, MessageSending, TurnWithMessages
from parley.http.sessions import SessionId, offered_agent
from parley.ids import new_id
from parley.repository.turns import NewSession, TurnRequest
from parley.turns.send import Sender

MARGIN_SECONDS = 12.0
"""What an invocation keeps for letting go of a turn that will not end in time: a statement that is
under way is waited for, and may take its whole time-out."""

_ANSWERS = answers(
    {201: "The completed turn, with both messages."}, 400, 404, 409, 413, 415, 422, 502, 504
)
_ONCE = (
    "The same `Idempotency-Key` gives the same turn and the same response: it joins a turn that"
    " runs, and replays one that is over (`Idempotent-Replayed: true`)."
)


def message_routes(sender: Sender, *, max_chars: int) -> Router:
    """Make the routes.

    Args:
        sender: Sends messages.
        max_chars: How long a message may be.
    """
    router = Router()

    def answered(request: TurnRequest) -> Response[TurnWithMessages]:
        if len(request.text) > max_chars:
            raise InvalidField("text", f"has more than {max_chars} characters")
        left: float = router.lambda_context.get_remaining_time_in_millis() / 1000
        sent = loop.run(sender.send(request, seconds=left - MARGIN_SECONDS))
        turn = sent.view.turn
        # Relative to the request, which may be below a stage or a domain's base path.
        path = f"turns/{turn.id}"
        if request.opens is not None or router.current_event.path.strip("/") == "messages":
            path = f"sessions/{turn.session_id}/{path}"
        headers = {"Location": path}
        if sent.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(
            status_code=201,
            content_type="application/json",
            body=TurnWithMessages.of(sent.view),
            headers=headers,
        )

    @router.post(
        "/sessions/<session_id>/messages",
        status_code=201,
        operation_id="sendMessage",
        tags=["messages"],
        summary="Send a message and wait for the reply",
        description=_ONCE,
        responses=_ANSWERS,
    )
    def send(
        user: Annotated[Caller, Depends(caller)],
        session_id: SessionId,
        body: MessageSending,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[TurnWithMessages]:
        return answered(
            TurnRequest(
                user_id=user.user_id,
                session_id=session_id,
                turn_id=new_id(),
                message_id=new_id(),
                text=body.text,
                idempotency_key=idempotency_key,
                fingerprint=fingerprint("message", session_id=session_id, text=body.text),
            )
        )

    @router.post(
        "/messages",
        status_code=201,
        operation_id="sendFirstMessage",
        tags=["messages"],
        summary="Send a message to a session that is made if it is not there",
        description=f"One session, however often a first message is retried. {_ONCE}",
        responses=_ANSWERS,
    )
    def send_first(
        user: Annotated[Caller, Depends(caller)],
        body: FirstMessageSending,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[TurnWithMessages]:
        if body.session_id is not None:
            for field in ("session_name", "agent", "platform", "metadata"):
                if field in body.model_fields_set:
                    raise InvalidField(field, "cannot be given together with session_id")
            return send(user, body.session_id, body, idempotency_key)
        asked = body.model_dump(mode="json", exclude={"session_id"})
        return answered(
            TurnRequest(
                user_id=user.user_id,
                session_id=new_id(),
                turn_id=new_id(),
                message_id=new_id(),
                text=body.text,
                idempotency_key=idempotency_key,
                fingerprint=fingerprint("first message", **asked),
                opens=NewSession(
                    agent=offered_agent(body.agent),
                    name=body.session_name,
                    platform=body.platform,
                    metadata=body.metadata,
                ),
            )
        )

    return router
