"""Memory that has expired: removed in SQLite, which does not do it by itself as DynamoDB does."""

from __future__ import annotations

from dataclasses import dataclass

from parley.cleanup.report import Batch, Counted
from parley.memory.store import AgentSessionStore, Held

TURNS_A_PAGE = 500


@dataclass(frozen=True, slots=True)
class ExpiredMemory:
    """The work on the store, a page at a time. Methods block."""

    store: AgentSessionStore

    def page(self, place: str | None, *, dry_run: bool) -> Batch:
        """Remove the next page, or count them all.

        Raises:
            StoreUnavailable: The store cannot serve now.
        """
        if dry_run:
            return Batch(_counted(self.store.expired()), None)
        removed = self.store.remove_expired(TURNS_A_PAGE)
        # What was removed is not found again, so there is no place but the beginning.
        return Batch(_counted(removed), "" if removed.turns == TURNS_A_PAGE else None)


def _counted(held: Held) -> Counted:
    return Counted(found=held.turns, items=held.turns, bytes=held.bytes)
