"""How far a kind of cleanup's work got, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from parley.repository.database import Database
from parley.repository.scope import SERVICE

Work = Literal["retention", "sweep"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How a kind of work stands.

    Attributes:
        cursor: Where it goes on; None if its last run came to the end, or failed.
        started_at: When the run that it goes on with began.
        ended_at: When that came to its end; None if it has not.
        ended_seconds_ago: How long ago that was.
        report: What came of it so far.
    """

    cursor: str | None
    started_at: datetime
    ended_at: datetime | None
    ended_seconds_ago: float | None
    report: dict[str, Any] | None


def read_progress(database: Database, work: Work) -> Progress | None:
    """Tell how the work stands; None if it never began.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    rows = database.run(SERVICE, _READ, {"work": work})
    return Progress(**rows[0]._mapping) if rows else None


def note_progress(
    database: Database,
    work: Work,
    *,
    begun: bool,
    cursor: str | None,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Note how far the work got.

    Args:
        database: Where to.
        work: Which.
        begun: Whether this is a new run, and not more of the last one.
        cursor: Where to go on; None at the end.
        report: What came of it so far.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    parameters = {
        "work": work,
        "begun": begun,
        "cursor": cursor,
        "report": None if report is None else dict(report),
    }
    database.run(SERVICE, _NOTE, parameters)


_READ = text("""
SELECT cursor, started_at, ended_at, report,
       extract(epoch FROM now() - ended_at)::float AS ended_seconds_ago
FROM cleanup_progress WHERE work = :work
""")

_NOTE = text("""
INSERT INTO cleanup_progress AS p (work, cursor, started_at, ended_at, report)
VALUES (:work, :cursor, now(), CASE WHEN CAST(:cursor AS text) IS NULL THEN now() END, :report)
ON CONFLICT (work) DO UPDATE SET cursor = excluded.cursor, ended_at = excluded.ended_at,
  report = excluded.report,
  started_at = CASE WHEN :begun THEN excluded.started_at ELSE p.started_at END
""").bindparams(bindparam("report", type_=JSONB(none_as_null=True)))
