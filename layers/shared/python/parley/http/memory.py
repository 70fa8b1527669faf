"""The routes of memory: what the agent remembers of a session."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.http.documented import answers
from parley.http.parts import Caller, Forgetter, SummaryReader
from parley.http.schemas import Memory, Pruned, Summary
from parley.http.sessions import SessionId
from parley.http.usage_schemas import TurnUsage

router = Router()


@router.get(
    "/sessions/<session_id>/memory",
    operation_id="countMemory",
    tags=["memory"],
    summary="Count what the agent remembers, and read its summary of the rest",
    responses=answers({200: "The figures."}, 404, 422),
)
def count_memory(
    user: Caller, forgetter: Forgetter, reader: SummaryReader, session_id: SessionId
) -> Memory:
    counted = forgetter.statistics(user.user_id, session_id)
    told = reader.read(user.user_id, session_id)
    summary = None
    if told.text is not None:
        summary = Summary(text=told.text, to_turn=told.to, made_at=told.made_at)
    return Memory(
        turns=counted.turns,
        items=counted.items,
        bytes=counted.bytes,
        last_activity_at=counted.last_activity_at,
        summary=summary,
        summary_pending=told.pending,
        summary_usage=TurnUsage.of(told.usage.in_all),
    )


@router.delete(
    "/sessions/<session_id>/memory",
    status_code=204,
    operation_id="clearMemory",
    tags=["memory"],
    summary="Make the agent forget; the transcript stays",
    responses=answers({204: "It is forgotten."}, 404, 422),
)
def clear_memory(user: Caller, forgetter: Forgetter, session_id: SessionId) -> Response[None]:
    forgetter.clear(user.user_id, session_id)
    return Response(status_code=204)


@router.post(
    "/sessions/<session_id>/memory/prune",
    operation_id="pruneMemory",
    tags=["memory"],
    summary="Remove memory that is too old for the agent to be shown",
    responses=answers({200: "What was removed."}, 404, 422),
)
def prune_memory(user: Caller, forgetter: Forgetter, session_id: SessionId) -> Pruned:
    return Pruned(turns=forgetter.prune(user.user_id, session_id))
