"""The route of the deployment's figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Interval
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from parley.http.documented import answers
from parley.http.numbers import IN_DIGITS
from parley.http.parts import Administrator, Database, Store
from parley.http.statistics_schemas import MemoryFigures, Statistics, TurnSeries
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.progress import read_progress
from parley.repository.statistics import SampledSession, read_activity, read_standing
from parley.repository.turn_series import Span, read_series

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


@router.get(
    "/admin/stats/turns",
    operation_id="readTurnSeries",
    tags=["admin"],
    summary="Show what turns came to, hour by hour or day by day",
    description=(
        "Each hour or day, of UTC, has the turns that were begun in it. Of more than 1,000 the"
        " newest 1,000 are looked at and stand for all."
    ),
    responses=answers({200: "The figures, the oldest first."}, 403, 422),
)
def read_turn_series(
    user: Administrator,
    database: Database,
    by: Annotated[Span, Query(description="How long each is.")] = "hour",
    last: Annotated[
        int,
        Interval(ge=1, le=100),
        IN_DIGITS,
        Query(description="How many; the last is the one that it is now."),
    ] = 24,
) -> TurnSeries:
    return TurnSeries.of(by, read_series(database, by, last))


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
