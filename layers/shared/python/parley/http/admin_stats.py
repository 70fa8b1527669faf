"""The route of the deployment's figures."""

from __future__ import annotations

from collections.abc import Sequence

from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.http.documented import answers
from parley.http.parts import Administrator, Database, Store
from parley.http.statistics_schemas import MemoryFigures, Statistics
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.progress import read_progress
from parley.repository.statistics import SampledSession, read_activity, read_standing

router = Router()


@router.get(
    "/admin/stats",
    operation_id="readStatistics",
    tags=["admin"],
    summary="Show the deployment's figures",
    responses=answers({200: "The figures."}, 403),
)
def read_statistics(user: Administrator, database: Database, store: Store) -> Statistics:
    activity = read_activity(database)
    return Statistics.of(
        read_standing(database),
        messages=activity.messages,
        memory=_memory(store, activity.newest),
        turns=activity.turns,
        newest_turns=activity.newest_turns,
        cleanup=read_progress(database, "retention"),
    )


def _memory(store: AgentSessionStore, sample: Sequence[SampledSession]) -> MemoryFigures:
    """Count what is remembered: all of it by the store's own account, items of the sample only."""
    items = [
        store.statistics(
            conversation_key(session.user_id, session.id), since=session.memory_from
        ).items
        for session in sample
    ]
    size = store.size()
    return MemoryFigures(
        items_per_session=sum(items) / len(items) if items else 0.0,
        sampled_sessions=len(items),
        turns=size.items,
        bytes=size.bytes,
    )
