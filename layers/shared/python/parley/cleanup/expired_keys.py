"""Idempotency keys of what was deleted, past the day for which they were kept."""

from __future__ import annotations

from dataclasses import dataclass

from parley.cleanup.report import Batch, Counted
from parley.repository.database import Database
from parley.repository.expired_sessions import expired_keys, remove_expired_keys

KEYS_A_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ExpiredKeys:
    """The work on keys, a page at a time. Methods block."""

    database: Database

    def page(self, place: str | None, *, dry_run: bool) -> Batch:
        """Remove the next page, or count them all.

        Raises:
            StoreUnavailable: Postgres cannot serve now.
        """
        if dry_run:
            keys = expired_keys(self.database)
            return Batch(Counted(found=keys, rows=keys), None)
        removed = remove_expired_keys(self.database, KEYS_A_PAGE)
        # What was removed is not found again, so there is no place but the beginning.
        return Batch(Counted(found=removed, rows=removed), "" if removed == KEYS_A_PAGE else None)
