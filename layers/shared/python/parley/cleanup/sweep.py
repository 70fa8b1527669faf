"""Memory whose session is gone: a sweep of the whole store, once a week, a page at a time.

Deletion and the outbox leave nothing that they know of. This finds what nobody knows of: what a
process wrote long after its session was deleted, or a restored backup brought back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parley.cleanup.report import Batch, Counted, Failure
from parley.errors import InvalidField, StoreUnavailable
from parley.ids import session_of
from parley.memory.store import AgentSessionStore, Held
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.progress import note_progress, read_progress
from parley.repository.sessions import existing
from parley.timing import DAY_SECONDS

CONVERSATIONS_A_PAGE = 500
DAYS_BETWEEN = 7


@dataclass(frozen=True, slots=True)
class OrphanedMemory:
    """The work on the store, a page at a time. Methods block."""

    database: Database
    store: AgentSessionStore

    def page(self, place: str | None, *, dry_run: bool) -> Batch:
        """Remove what the next page of the store holds of no session, or see what that is.

        Without a place it goes on where the last sweep stopped; if that came to its end less than
        a week ago there is nothing to do.

        Raises:
            InvalidField: The place is not one of this work's.
            StoreUnavailable: A store cannot serve now; the sweep goes on from this page.
        """
        begun = False
        if place is None:
            progress = read_progress(self.database, "sweep")
            place = None if progress is None else progress.cursor
            age = None if progress is None else progress.ended_seconds_ago
            if age is not None and age < DAYS_BETWEEN * DAY_SECONDS:
                return Batch(Counted(), None)
            begun = place is None
        try:
            found = self.store.conversations(place, CONVERSATIONS_A_PAGE)
        except ValueError as error:
            raise InvalidField("cursor", "is not one that this cleanup gave") from error
        batch = self._of(self._orphans(found.keys), found.next, dry_run=dry_run)
        if not dry_run:
            note_progress(self.database, "sweep", begun=begun, cursor=found.next)
        return batch

    def _orphans(self, conversations: Sequence[str]) -> list[tuple[str, str]]:
        """Return the conversation keys of sessions that are not there, with the sessions' ids."""
        # What is not named as Parley names its conversations is not Parley's to remove.
        sessions = {key: named for key in conversations if (named := session_of(key)) is not None}
        there = existing(self.database, list(sessions.values()))
        return [(key, str(named[1])) for key, named in sessions.items() if named not in there]

    def _of(
        self, orphans: Sequence[tuple[str, str]], following: str | None, *, dry_run: bool
    ) -> Batch:
        remove = self.store.weigh if dry_run else self.store.forget
        held = Held()
        failures = []
        for conversation, subject in orphans:
            try:
                held += remove(conversation)
            except StoreUnavailable:
                raise
            except Exception as error:
                logger().error(
                    "orphaned memory could not be removed", session_id=subject, **traced(error)
                )
                failures.append(Failure("orphaned_memory", subject, type(error).__name__))
        counted = Counted(
            found=len(orphans), items=held.turns, bytes=held.bytes, failures=len(failures)
        )
        return Batch(counted, following, failures)
