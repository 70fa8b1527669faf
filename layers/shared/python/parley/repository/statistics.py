"""How the deployment stands: what administrators are shown and what alarms look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from parley.ids import first_id
from parley.repository.begin import MAX_QUEUED
from parley.repository.database import Database
from parley.repository.estimates import about, about_by_status
from parley.repository.scope import SERVICE
from parley.repository.waiting import WAITING, WAITING_PARAMETERS

SAMPLE = 20
"""How many sessions stand for all where each has to be asked for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is now.

    Attributes:
        active: Active sessions; `ended` and `escalated` are the others. Large numbers are
            estimates (see `parley.repository.estimates`).
        waiting_sessions: Sessions whose turn nobody carries on (see `parley.repository.waiting`).
        overdue_turns: Those of them whose turn still waits though the recovery woke for it a
            quarter of an hour ago or longer.
        oldest_open_turn_seconds: For how long the oldest turn that is queued or runs has been so,
            counted from when a turn before it last went on that had waited for somebody; None if
            there is none. Those behind a turn that waits are not meant.
        oldest_approval_seconds: How long ago the first was asked for of those approvals that nobody
            has decided on; None if nothing is to be decided.
        outbox_waiting: Conversations whose memory must still be removed; of `outbox_due` at once.
            Both may be estimates.
        outbox_seconds: How long ago the oldest of all of them was noted; None if there is none.
        outbox_due_seconds: How long the oldest that is due has been so; None if none is.
        database_bytes: The size of this database.
        connections: Connections to it, of anybody's.
        connections_limit: How many the server takes, for all of its databases.
    """

    active: int
    ended: int
    escalated: int
    waiting_sessions: int
    overdue_turns: int
    oldest_open_turn_seconds: float | None
    oldest_approval_seconds: float | None
    outbox_waiting: int
    outbox_due: int
    outbox_seconds: float | None
    outbox_due_seconds: float | None
    database_bytes: int
    connections: int
    connections_limit: int


@dataclass(frozen=True, slots=True)
class SampledSession:
    """A session whose memory is looked at; turns below `memory_from` are forgotten."""

    id: UUID
    user_id: str
    memory_from: int


NEWEST_TURNS = 1_000
"""How many turns stand for all of the last day where each has to be looked at."""


@dataclass(frozen=True, slots=True)
class FailedTurns:
    """How many of the turns looked at failed with a code, of an agent."""

    agent: str
    code: str
    turns: int


@dataclass(frozen=True, slots=True)
class NewestTurns:
    """What the newest turns of the last 24 hours came to, at most `NEWEST_TURNS`.

    Attributes:
        looked_at: How many they are.
        input_tokens: Tokens sent to the model; `output_tokens` are those received.
        median_seconds: From a completed turn's message to its reply; None if none completed.
        p95_seconds: That of the slowest twentieth of them.
        failures: By agent and code, the most frequent first.
    """

    looked_at: int
    input_tokens: int
    output_tokens: int
    median_seconds: float | None
    p95_seconds: float | None
    failures: Sequence[FailedTurns]


@dataclass(frozen=True, slots=True)
class Activity:
    """What was done.

    Attributes:
        messages: All messages that are kept; a large number is an estimate.
        turns: Turns begun in the last 24 hours, by status; a status that none has is not there.
            Large numbers are estimates.
        newest_turns: What the newest of them came to.
        newest: The sessions last active of those that have memory, at most `SAMPLE`.
    """

    messages: int
    turns: Mapping[str, int]
    newest_turns: NewestTurns
    newest: Sequence[SampledSession]


def read_standing(database: Database) -> Standing:
    """Look at what there is, in a time that does not grow with the number of sessions.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    (row,) = database.run(SERVICE, _STANDING, {**WAITING_PARAMETERS, "before": 2 * MAX_QUEUED})
    # Each has an index, of which nothing but entries are counted: no status is read of a row.
    closed, escalated = (
        about(database, "sessions", condition, "last_activity_at DESC, id DESC")
        for condition in ("status <> 'active'", "status = 'escalated'")
    )
    return Standing(
        **row._mapping,
        active=max(0, about(database, "sessions") - closed),
        ended=max(0, closed - escalated),
        escalated=escalated,
        outbox_waiting=about(database, "memory_deletions"),
        outbox_due=about(database, "memory_deletions", "not_before <= now()"),
    )


def read_activity(database: Database) -> Activity:
    """Look at what was done, in a time that does not grow with it.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    since = first_id(datetime.now(UTC) - timedelta(hours=24))
    return Activity(
        messages=about(database, "messages"),
        # Their ids are in the order of time, so the last day's are a range of the primary key.
        turns=about_by_status(database, "turns", "id >= :since", "id DESC", since=since),
        newest_turns=_newest_turns(database, since),
        newest=[
            SampledSession(row.id, row.user_id, row.memory_from)
            for row in database.run(SERVICE, _NEWEST, {"sample": SAMPLE})
        ],
    )


def _newest_turns(database: Database, since: UUID) -> NewestTurns:
    (row,) = database.run(SERVICE, _NEWEST_TURNS, {"since": since, "most": NEWEST_TURNS})
    failures = [FailedTurns(**failed) for failed in row.failures or ()]
    return NewestTurns(
        row.looked_at,
        row.input_tokens,
        row.output_tokens,
        row.median_seconds,
        row.p95_seconds,
        failures,
    )


# A range of the primary key, from its end.
_NEWEST_TURNS = text("""
WITH newest AS (
  SELECT agent, status, error_code, input_tokens, output_tokens,
    -- An administrator's note was never started.
    CASE WHEN started_at IS NOT NULL
      THEN date_part('epoch', ended_at - created_at) END AS seconds
  FROM turns WHERE id >= :since ORDER BY id DESC LIMIT :most),
failed AS (
  SELECT agent, error_code AS code, count(*) AS turns FROM newest
  WHERE status = 'failed' GROUP BY agent, error_code ORDER BY count(*) DESC, agent, error_code)
SELECT count(*) AS looked_at, coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
  coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)
    FILTER (WHERE status = 'completed') AS median_seconds,
  percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)
    FILTER (WHERE status = 'completed') AS p95_seconds,
  (SELECT jsonb_agg(to_jsonb(failed)) FROM failed) AS failures
FROM newest
""")

# Open turns are few, and have their index; of those before each, as many are looked at as may wait
# on a session, with notes between them. Of the outbox the ends are looked up in its own, each by
# itself: two of them in one query would be sought in the whole table.
_STANDING = text(f"""
SELECT waiting.*, open.*, asked.*, outbox.*, database.*
FROM (SELECT count(*) AS waiting_sessions,
          count(*) FILTER (WHERE woken_at < now() - make_interval(secs => :again))
            AS overdue_turns
   FROM ({WAITING}) waiting) waiting,
  (SELECT extract(epoch FROM
            now() - min(greatest(t.created_at, t.resumed_at, before.resumed_at)))::float
            AS oldest_open_turn_seconds
   FROM turns t, LATERAL (
     SELECT max(b.resumed_at) AS resumed_at, bool_or(b.status = 'waiting') AS waits FROM turns b
     WHERE b.session_id = t.session_id AND b.number BETWEEN t.number - :before AND t.number - 1
   ) before
   WHERE t.status IN ('queued', 'running') AND before.waits IS NOT TRUE) open,
  (SELECT (SELECT extract(epoch FROM now() - created_at)::float FROM approvals
           WHERE status = 'open' ORDER BY created_at LIMIT 1) AS oldest_approval_seconds) asked,
  (SELECT (SELECT extract(epoch FROM now() - min(created_at))::float FROM memory_deletions)
            AS outbox_seconds,
          (SELECT extract(epoch FROM now() - min(not_before))::float FROM memory_deletions
           WHERE not_before <= now()) AS outbox_due_seconds) outbox,
  (SELECT pg_database_size(current_database()) AS database_bytes,
          (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
            AS connections,
          current_setting('max_connections')::int AS connections_limit) database
""")

# The newest sessions with memory come first in the index that retention goes by.
_NEWEST = text("""
SELECT id, user_id, memory_from FROM sessions WHERE memory_until < next_number - 1
ORDER BY last_activity_at DESC LIMIT :sample
""")
