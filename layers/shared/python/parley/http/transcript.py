"""The routes that read what was said, turn by turn."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from parley.http.documented import answers
from parley.http.paging import Cursor, Limit
from parley.http.parts import Caller, Transcript
from parley.http.schemas import MessageList, TranscriptMessage, Turn, TurnDetails, TurnList
from parley.http.sessions import SessionId
from parley.repository.states import TurnStatus

TurnId = Annotated[UUID, Path(description="The turn's id.")]


router = Router()


@router.get(
    "/sessions/<session_id>/messages",
    operation_id="readTranscript",
    tags=["messages"],
    summary="Read the transcript, newest page first",
    responses=answers({200: "A page."}, 404, 422),
)
def read_transcript(
    user: Caller,
    transcript: Transcript,
    session_id: SessionId,
    order: Annotated[Literal["asc", "desc"], Query(description="By time.")] = "desc",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> MessageList:
    page = transcript.messages(user.user_id, session_id, order=order, limit=limit, cursor=cursor)
    return MessageList(
        items=[TranscriptMessage.of(message) for message in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    "/sessions/<session_id>/turns",
    operation_id="listTurns",
    tags=["turns"],
    summary="List turns, newest first",
    responses=answers({200: "A page."}, 404, 422),
)
def list_turns(
    user: Caller,
    transcript: Transcript,
    session_id: SessionId,
    status: Annotated[TurnStatus | None, Query()] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> TurnList:
    page = transcript.turns(user.user_id, session_id, status=status, limit=limit, cursor=cursor)
    return TurnList(items=[Turn.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.get(
    "/sessions/<session_id>/turns/<turn_id>",
    operation_id="readTurn",
    tags=["turns"],
    summary="Read a turn: its state, reply and usage, and the calls of the model and of tools",
    responses=answers({200: "The turn."}, 404, 422),
)
def read_turn(
    user: Caller, transcript: Transcript, session_id: SessionId, turn_id: TurnId
) -> TurnDetails:
    view = transcript.turn(user.user_id, session_id, turn_id)
    return TurnDetails.shown(view, transcript.steps(user.user_id, turn_id))
