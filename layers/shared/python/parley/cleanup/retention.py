"""Cleanup: what nobody has used for long enough is removed, until nothing is left or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import TypeAdapter

from parley.cleanup.expired_keys import ExpiredKeys
from parley.cleanup.expired_memory import ExpiredMemory
from parley.cleanup.expired_sessions import ExpiredSessions
from parley.cleanup.old_records import OldRecords
from parley.cleanup.report import Batch, CleanupReport, Counted
from parley.cleanup.sweep import OrphanedMemory
from parley.errors import InvalidField
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.expired_sessions import EVERY, Ages, Scope
from parley.repository.paging import decode, encode

SESSIONS_LISTED = 500
"""How many sessions a dry run lists before it leaves the rest to the next call."""

_PLACE: TypeAdapter[tuple[str, str | None]] = TypeAdapter(tuple[str, str | None])


class Work(Protocol):
    """One kind of work, a page at a time."""

    def page(self, place: str | None, *, dry_run: bool) -> Batch:
        """Do the next page, or see what it would be."""
        ...


@dataclass(frozen=True, slots=True)
class CleanupRequest:
    """What to clean up.

    Attributes:
        dry_run: Only say what would go.
        older_than_seconds: Since when sessions must have been inactive, closed or empty; None for
            the ages that are configured.
        scope: Which sessions to come to. If not all, nothing but sessions is come to.
        cursor: Where an earlier cleanup says to go on; None to begin.
    """

    dry_run: bool = False
    older_than_seconds: float | None = None
    scope: Scope = EVERY
    cursor: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it comes to everything, as the scheduled cleanup does."""
        return self.scope == EVERY and self.older_than_seconds is None and not self.dry_run


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes what is past its time. Methods block.

    The store is opened by who comes to it, as `Forgetter`'s is.
    """

    database: Database
    open_store: Callable[[], AgentSessionStore]
    ages: Ages

    def run(self, request: CleanupRequest, *, left: Callable[[], float]) -> CleanupReport:
        """Clean up.

        Args:
            request: What.
            left: Gives how many seconds there still are. Asked before each page; a page takes
                a moment.

        Returns:
            What was done, or would be; where to go on if time was up first.

        Raises:
            InvalidField: The cursor is not one that a cleanup of this kind gave.
            StoreUnavailable: A store cannot serve now. What was done is done.
        """
        begun = time.monotonic()
        works = self._works(request)
        first, place = _position(request.cursor, works)
        kinds = list(works)
        report = CleanupReport(request.dry_run, {kind: Counted() for kind in kinds})
        for kind in kinds[kinds.index(first) :]:
            while True:
                if left() <= 0 or len(report.sessions) >= SESSIONS_LISTED:
                    report.next_cursor = encode([kind, place])
                    report.seconds = time.monotonic() - begun
                    return report
                batch = works[kind].page(place, dry_run=request.dry_run)
                report.add(kind, batch)
                place = batch.place
                if place is None:
                    break
        report.seconds = time.monotonic() - begun
        return report

    def _works(self, request: CleanupRequest) -> Mapping[str, Work]:
        """Return the kinds of work in their order: what is deleted whole need not first expire."""
        database, store = self.database, self.open_store()
        age = request.older_than_seconds
        ages = self.ages if age is None else Ages(age, age)
        works: dict[str, Work] = {
            kind: ExpiredSessions(kind, database, store, ages, request.scope)
            for kind in ("closed_sessions", "empty_sessions")
        }
        if request.scope == EVERY:
            works["memory"] = ExpiredMemory(store)
            works["keys"] = ExpiredKeys(database)
            # By the deployment's age whatever is asked for: nobody clears away their own traces.
            works["audit_records"] = OldRecords(database, self.ages.audit_records)
            works["orphaned_memory"] = OrphanedMemory(database, store)
        return works


def _position(cursor: str | None, works: Mapping[str, Work]) -> tuple[str, str | None]:
    if cursor is None:
        return next(iter(works)), None
    kind, place = decode(cursor, _PLACE)
    if kind not in works:
        raise InvalidField("cursor", "is not one that this cleanup gave")
    return kind, place
