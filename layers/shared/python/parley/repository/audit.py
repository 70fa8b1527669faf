"""What administrators did: a record of each use, written before it and completed after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.scope import SERVICE

Outcome = Literal["begun", "done", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Use:
    """A use of administration.

    Attributes:
        administrator: Who.
        action: The method and the path, as it was asked for.
        whom: The user or the session that the path names; None if it names none.
        request_id: Of the request, as in the log.
        details: What else was asked for: ids, filters and numbers, nothing that people say.
    """

    administrator: str
    action: str
    whom: str | None
    request_id: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditRepository:
    """The records. Methods block."""

    database: Database

    def begin(self, use: Use, outcome: Outcome = "begun") -> UUID:
        """Write a record and give its id.

        Raises:
            StoreUnavailable: Postgres cannot serve now. What is not recorded must not be done.
        """
        record_id = new_id()
        parameters = {
            "id": record_id,
            "administrator": use.administrator,
            "action": use.action,
            "whom": use.whom,
            "request_id": use.request_id,
            "details": dict(use.details),
            "outcome": outcome,
        }
        self.database.run(SERVICE, _BEGIN, parameters)
        return record_id

    def end(
        self, record_id: UUID, outcome: Outcome, status: int, details: Mapping[str, Any]
    ) -> None:
        """Complete a record: what came of it, and what was learnt meanwhile.

        Raises:
            StoreUnavailable: Postgres cannot serve now; the record says that it was begun.
        """
        parameters = {
            "id": record_id,
            "outcome": outcome,
            "status": status,
            "details": dict(details),
        }
        self.database.run(SERVICE, _END, parameters)


def count_old_records(database: Database, age: float) -> int:
    """Count the records that are older than so many seconds."""
    return int(database.run(SERVICE, _COUNT, {"age": age})[0].records)


def remove_old_records(database: Database, age: float, limit: int) -> int:
    """Remove such records, at most `limit`, and give how many."""
    return len(database.run(SERVICE, _REMOVE, {"age": age, "limit": limit}))


# Repeated when an answer was lost, so it must not fail on what it wrote itself.
_BEGIN = text("""
INSERT INTO audit_records (id, administrator, action, whom, request_id, details, outcome)
VALUES (:id, :administrator, :action, :whom, :request_id, :details, :outcome)
ON CONFLICT (id) DO NOTHING
""").bindparams(bindparam("details", type_=JSONB()))

_END = text("""
UPDATE audit_records SET outcome = :outcome, status = :status, ended_at = now(),
  details = details || :details
WHERE id = :id
""").bindparams(bindparam("details", type_=JSONB()))

_OLD = "FROM audit_records WHERE begun_at < now() - make_interval(secs => :age)"

_COUNT = text(f"SELECT count(*) AS records {_OLD}")

_REMOVE = text(f"""
DELETE FROM audit_records WHERE ctid = ANY(ARRAY(
  SELECT ctid {_OLD} ORDER BY begun_at LIMIT :limit FOR UPDATE SKIP LOCKED))
RETURNING id
""")
