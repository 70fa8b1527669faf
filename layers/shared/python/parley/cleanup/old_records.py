"""Records of administration that have been kept for as long as the setting says."""

from __future__ import annotations

from dataclasses import dataclass

from parley.cleanup.report import Batch, Counted
from parley.repository.audit import count_old_records, remove_old_records
from parley.repository.database import Database

RECORDS_A_PAGE = 1000


@dataclass(frozen=True, slots=True)
class OldRecords:
    """The work on records, a page at a time. Methods block.

    Attributes:
        age: After how many seconds a record goes.
    """

    database: Database
    age: float

    def page(self, place: str | None, *, dry_run: bool) -> Batch:
        """Remove the next page, or count them all.

        Raises:
            StoreUnavailable: Postgres cannot serve now.
        """
        if dry_run:
            found = count_old_records(self.database, self.age)
            return Batch(Counted(found=found, rows=found), None)
        removed = remove_old_records(self.database, self.age, RECORDS_A_PAGE)
        more = "" if removed == RECORDS_A_PAGE else None
        return Batch(Counted(found=removed, rows=removed), more)
