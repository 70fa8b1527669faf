"""How the deployment stands: what administrators are shown and what alarms look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from parley.ids import first_id
from parley.repository.database import Database

SAMPLE = 20
"""How many sessions stand for all where each has to be asked for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is now.

    Attributes:
        active: Active sessions; `ended` and `escalated` are the others.
        overdue_turns: Turns that nobody holds although they are begun: their lease has run out.
        oldest_open_turn_seconds: The age of the oldest turn that waits or runs; None if none does.
        outbox_waiting: Conversations whose memory must still be removed; of `outbox_due` at once.
        outbox_seconds: How long ago the oldest of all of them was noted; None if there is none.
        outbox_due_seconds: How long the oldest that is due has been so; None if none is.
        database_bytes: The size of this database.
        connections: Connections to it, of anybody's.
        connections_limit: How many the server takes, for all of its databases.
    """

    active: int
    ended: int
    escalated: int
    overdue_turns: int
    oldest_open_turn_seconds: float | None
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


@dataclass(frozen=True, slots=True)
class Activity:
    """What was done.

    Attributes:
        messages: All messages that are kept.
        turns: Turns begun in the last 24 hours, by status; a status that none has is not there.
        newest: The sessions last active of those that have memory, at most `SAMPLE`.
    """

    messages: int
    turns: Mapping[str, int]
    newest: Sequence[SampledSession]


def read_standing(database: Database) -> Standing:
    """Look at what there is, in one statement, which counts all sessions.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    (row,) = database.run(_STANDING)
    return Standing(**row._mapping)


def read_activity(database: Database) -> Activity:
    """Look at what was done, in one statement, which counts all messages.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    since = first_id(datetime.now(UTC) - timedelta(hours=24))
    (row,) = database.run(_ACTIVITY, {"since": since, "sample": SAMPLE})
    return Activity(row.messages, row.turns, [_sampled(each) for each in row.newest])


def _sampled(said: Mapping[str, Any]) -> SampledSession:
    return SampledSession(UUID(said["id"]), said["user_id"], said["memory_from"])


# Sessions that are not active, open turns and the outbox are few, and each has its index.
_STANDING = text("""
SELECT every.sessions - closed.ended - closed.escalated AS active, closed.*, open.*, outbox.*,
       database.*
FROM (SELECT count(*) AS sessions FROM sessions) every,
  (SELECT count(*) FILTER (WHERE status = 'ended') AS ended,
          count(*) FILTER (WHERE status = 'escalated') AS escalated
   FROM sessions WHERE status <> 'active') closed,
  (SELECT count(*) FILTER (WHERE status = 'running' AND lease_expires_at < now())
            AS overdue_turns,
          extract(epoch FROM now() - min(created_at))::float AS oldest_open_turn_seconds
   FROM turns WHERE status IN ('queued', 'running')) open,
  (SELECT count(*) AS outbox_waiting,
          count(*) FILTER (WHERE not_before <= now()) AS outbox_due,
          extract(epoch FROM now() - min(created_at))::float AS outbox_seconds,
          extract(epoch FROM now() - min(not_before) FILTER (WHERE not_before <= now()))::float
            AS outbox_due_seconds
   FROM memory_deletions) outbox,
  (SELECT pg_database_size(current_database()) AS database_bytes,
          (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
            AS connections,
          current_setting('max_connections')::int AS connections_limit) database
""")

# The ids of turns are in the order of time, so the last day's are a range of the primary key; the
# newest sessions with memory come first in the index that retention goes by.
_ACTIVITY = text("""
SELECT (SELECT count(*) FROM messages) AS messages,
  (SELECT coalesce(json_object_agg(status, number), '{}') FROM (
     SELECT status, count(*) AS number FROM turns WHERE id >= :since GROUP BY status) t) AS turns,
  (SELECT coalesce(json_agg(n), '[]') FROM (
     SELECT id, user_id, memory_from FROM sessions WHERE memory_until < next_number - 1
     ORDER BY last_activity_at DESC LIMIT :sample) n) AS newest
""")
