"""The route that cancels a turn."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.depends import Depends

from parley import loop
from parley.http.api import caller
from parley.http.documented import answers
from parley.http.identity import Caller
from parley.http.schemas import CancelledTurn
from parley.http.sessions import SessionId
from parley.http.transcript import TurnId
from parley.turns.cancel import Canceller


def turn_routes(canceller: Canceller) -> Router:
    """Make the routes."""
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
            " or it is too late. Who waits for the reply gets 409 `turn_cancelled`."
        ),
        responses=answers(
            {200: "The turn as it ended, and what this request did to it."}, 404, 422
        ),
    )
    def cancel(
        user: Annotated[Caller, Depends(caller)], session_id: SessionId, turn_id: TurnId
    ) -> CancelledTurn:
        return CancelledTurn.by(loop.run(canceller.cancel(user.user_id, session_id, turn_id)))

    return router
