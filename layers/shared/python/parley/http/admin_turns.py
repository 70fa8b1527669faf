"""The routes by which administrators see what turns of all users do, and what was done in one."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote
from uuid import UUID

from annotated_types import MaxLen, MinLen
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BeforeValidator

from parley.events.listing import list_events
from parley.http.admin_turn_schemas import (
    AdminTurn,
    AnyTurnList,
    LoggedEvent,
    LoggedEventList,
    RecordedToolCall,
    RecordedToolCallList,
    RememberedItem,
    RememberedItemList,
    TurnOfAnybody,
)
from parley.http.audit import note_use
from parley.http.documented import answers
from parley.http.identity import REQUEST_ID_MAX_CHARS
from parley.http.paging import Cursor, Limit
from parley.http.parts import Administrator, Database, Events, Store, Transcript
from parley.ids import TurnKey, Voucher, conversation_key
from parley.repository.all_turns import TurnFilter, list_all_turns
from parley.repository.states import TurnStatus
from parley.repository.transcript import Found
from parley.repository.turn_records import recorded_calls
from parley.text import storable
from parley.turns.remembered import list_remembered

AnyTurnId = Annotated[
    str,
    MinLen(1),
    MaxLen(REQUEST_ID_MAX_CHARS),
    # Behind the limits: those of `Path` come after it and would be those of a list.
    BeforeValidator(lambda name: storable(unquote(name))),
    Path(description="The turn's id, or the `request_id` of the request which made it."),
]


router = Router()


@router.get(
    "/admin/turns",
    operation_id="listAllTurns",
    tags=["admin"],
    summary="List all users' turns, newest first",
    description=(
        "A page may have fewer turns than were asked for, or none, and others follow all the same,"
        " as `next_cursor` says: each looks through 5,000 turns at most."
    ),
    responses=answers({200: "A page."}, 403, 422),
)
def list_turns_of_all(
    user: Administrator,
    database: Database,
    status: Annotated[TurnStatus | None, Query()] = None,
    user_id: Annotated[str | None, Query(max_length=1000)] = None,
    agent: Annotated[str | None, Query(max_length=100)] = None,
    session_id: Annotated[UUID | None, Query()] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> AnyTurnList:
    matching = TurnFilter(status=status, user_id=user_id, agent=agent, session_id=session_id)
    page = list_all_turns(database, matching, limit=limit, cursor=cursor)
    return AnyTurnList(
        items=[TurnOfAnybody.of(turn) for turn in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/admin/turns/<turn_id>",
    operation_id="readAnyTurn",
    tags=["admin"],
    summary="Read anybody's turn, by its id or that of the request which made it",
    responses=answers({200: "The turn."}, 403, 404, 422),
)
def read_any_turn(user: Administrator, transcript: Transcript, turn_id: AnyTurnId) -> AdminTurn:
    where = _found(transcript, turn_id, "read a turn")
    view = transcript.turn(where.user_id, where.session_id, where.turn_id)
    return AdminTurn.found(where, view, transcript.steps(where.user_id, where.turn_id))


@router.get(
    "/admin/turns/<turn_id>/tool-calls",
    operation_id="readAnyToolCalls",
    tags=["admin"],
    summary="List what the tools of anybody's turn were given and gave, as it was recorded",
    responses=answers({200: "A page."}, 403, 404, 422),
)
def read_any_tool_calls(
    user: Administrator,
    transcript: Transcript,
    database: Database,
    turn_id: AnyTurnId,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> RecordedToolCallList:
    where = _found(transcript, turn_id, "read a turn's tool calls")
    page = recorded_calls(database, where.user_id, where.turn_id, limit=limit, cursor=cursor)
    return RecordedToolCallList(
        items=[RecordedToolCall.of(call) for call in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/admin/turns/<turn_id>/events",
    operation_id="readAnyEvents",
    tags=["admin"],
    summary="List what happened in anybody's turn, in its order",
    description=(
        "Events are kept for a day; of an older turn there are none. Pieces of one message that"
        " follow on each other are one event."
    ),
    responses=answers({200: "A page."}, 403, 404, 422),
)
def read_any_events(
    user: Administrator,
    transcript: Transcript,
    log: Events,
    turn_id: AnyTurnId,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> LoggedEventList:
    where = _found(transcript, turn_id, "read a turn's events")
    turn = transcript.turn(where.user_id, where.session_id, where.turn_id).turn
    page = list_events(
        log,
        conversation_key(where.user_id, where.session_id),
        TurnKey(turn.number, turn.id),
        limit=limit,
        cursor=cursor,
    )
    return LoggedEventList(
        items=[LoggedEvent.of(event) for event in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/admin/turns/<turn_id>/memory",
    operation_id="readAnyTurnMemory",
    tags=["admin"],
    summary="List what the agent remembers of anybody's turn",
    description=(
        "What the model was told and answered, as the Agents SDK keeps it, when the turn has ended"
        " and for as long as memory is kept."
    ),
    responses=answers({200: "A page."}, 403, 404, 422),
)
def read_any_turn_memory(
    user: Administrator,
    transcript: Transcript,
    store: Store,
    turn_id: AnyTurnId,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> RememberedItemList:
    where = _found(transcript, turn_id, "read a turn's memory")
    turn = transcript.turn(where.user_id, where.session_id, where.turn_id).turn
    page = list_remembered(
        store,
        conversation_key(where.user_id, where.session_id),
        Voucher(turn.number, turn.attempt, turn.id),
        limit=limit,
        cursor=cursor,
    )
    return RememberedItemList(
        items=[RememberedItem.of(item) for item in page.items], next_cursor=page.next_cursor
    )


def _found(transcript: Transcript, named: str, action: str) -> Found:
    """Find a turn, and note whose it is and that it is looked at."""
    where = transcript.find(named)
    note_use(action, user_id=where.user_id, session_id=str(where.session_id))
    return where
