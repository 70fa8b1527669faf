"""The route that cancels a turn."""

from __future__ import annotations

from aws_lambda_powertools.event_handler.api_gateway import Router

from parley import loop
from parley.http.documented import answers
from parley.http.parts import Caller, Canceller
from parley.http.schemas import CancelledTurn
from parley.http.sessions import SessionId
from parley.http.transcript import TurnId

router = Router()


@router.post(
    "/sessions/<session_id>/turns/<turn_id>/cancel",
    operation_id="cancelTurn",
    tags=["turns"],
    summary="Cancel a turn that waits or runs",
    description=(
        "One that waits ends at once; one that runs stops before its next step. What its tools"
        " have done stays, and the agent is told of it in the next turn. Cancelling again is"
        " harmless: `outcome` says whether this request cancelled the turn, an earlier one did,"
        " or it is too late. Whoever waits for the reply gets 409 `turn_cancelled`."
    ),
    responses=answers({200: "The turn as it ended, and what this request did to it."}, 404, 422),
)
def cancel_turn(
    user: Caller, canceller: Canceller, session_id: SessionId, turn_id: TurnId
) -> CancelledTurn:
    return CancelledTurn.by(loop.run(canceller.cancel(user.user_id, session_id, turn_id)))
