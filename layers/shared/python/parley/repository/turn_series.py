"""What turns came to, hour by hour or day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row, text

from parley.ids import first_id
from parley.repository.database import Database
from parley.repository.scope import SERVICE

Span = Literal["hour", "day"]
SPANS: Mapping[Span, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

LOOKED_AT = 1_000
"""How many turns of an hour or a day are looked at."""


@dataclass(frozen=True, slots=True)
class TurnsOfSpan:
    """What the turns that were begun in an hour or a day came to.

    Attributes:
        start: When it began, UTC.
        turns: How many, by status; a status that none has is not there.
        input_tokens: Tokens sent to the model; `output_tokens` are those received.
        median_seconds: From a completed turn's message to its reply; None if none completed.
        p95_seconds: That of the slowest twentieth of them.
        estimated: Whether there were more turns than are looked at. Then the newest stand for all,
            and numbers of turns and tokens are what they come to over the whole time.
    """

    start: datetime
    turns: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    median_seconds: float | None
    p95_seconds: float | None
    estimated: bool


def read_series(
    database: Database, by: Span, last: int, *, now: datetime | None = None
) -> Sequence[TurnsOfSpan]:
    """Return what the turns of the last hours or days came to, the oldest first.

    Args:
        database: Where they are.
        by: Hours or days, of UTC.
        last: How many; the last is the one that it is now.
        now: When it is; None for now.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    now = now or datetime.now(UTC)
    width = SPANS[by]
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    current = midnight + (now - midnight) // width * width
    starts = [current - width * back for back in range(last - 1, -1, -1)]
    parameters = {
        "firsts": [first_id(start) for start in starts],
        "behinds": [first_id(start + width) for start in starts],
        "most": LOOKED_AT,
    }
    rows = database.run(SERVICE, _SERIES, parameters)
    return [
        _of(row, start, min(start + width, now)) for row, start in zip(rows, starts, strict=True)
    ]


def _of(row: Row[Any], start: datetime, end: datetime) -> TurnsOfSpan:
    share = 1.0
    median, p95 = row.percentiles or (None, None)
    if row.looked_at >= LOOKED_AT:
        # The time of an id stands in its first 48 bits.
        oldest = datetime.fromtimestamp((row.oldest.int >> 80) / 1000, UTC)
        share = min(1.0, max((end - oldest) / (end - start), 1e-6))
    return TurnsOfSpan(
        start=start,
        turns={status: round(turns / share) for status, turns in (row.turns or {}).items()},
        input_tokens=round(row.input_tokens / share),
        output_tokens=round(row.output_tokens / share),
        median_seconds=median,
        p95_seconds=p95,
        estimated=share < 1.0,
    )


# Each hour or day is a range of the primary key, read from its end: ids are in the order of time.
# They are kept while they are summed up, so that each is read once and only times are sorted, which
# are numbers that sort fast (`extract` would make them decimal).
_SERIES = text("""
SELECT of_span.*
FROM unnest(CAST(:firsts AS uuid[]), CAST(:behinds AS uuid[]))
  WITH ORDINALITY AS span(first, behind, place),
LATERAL (
  WITH newest AS MATERIALIZED (
    SELECT id, status, input_tokens, output_tokens,
      -- An administrator's note was never started.
      CASE WHEN started_at IS NOT NULL
        THEN date_part('epoch', ended_at - created_at) END AS seconds
    FROM turns WHERE id >= span.first AND id < span.behind ORDER BY id DESC LIMIT :most)
  SELECT count(*)::int AS looked_at,
    (SELECT jsonb_object_agg(status, turns)
     FROM (SELECT status, count(*) AS turns FROM newest GROUP BY status) by_status) AS turns,
    coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
    coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
    (SELECT id FROM newest ORDER BY id LIMIT 1) AS oldest,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds)
      FILTER (WHERE status = 'completed') AS percentiles
  FROM newest) of_span
ORDER BY span.place
""")
