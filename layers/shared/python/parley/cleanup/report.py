"""What a cleanup reports: what it came to of each kind, and what it could not do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

FAILURES_NAMED = 20
"""How many failures a report names; all are counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How much of one kind went, or would go.

    Attributes:
        found: Sessions, turns' memory, conversations, keys or records.
        rows: Rows in Postgres.
        items: Items in the agent-session store, one a turn.
        bytes: Their compressed size.
        failures: How many of those that were due could not be removed.
    """

    found: int = 0
    rows: int = 0
    items: int = 0
    bytes: int = 0
    failures: int = 0

    def __add__(self, other: Counted) -> Counted:
        """Count both."""
        return Counted(
            self.found + other.found,
            self.rows + other.rows,
            self.items + other.items,
            self.bytes + other.bytes,
            self.failures + other.failures,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that was due and could not be removed; it stays due.

    Attributes:
        kind: The kind of work.
        subject: The id of the session.
        reason: What kind of error it was; the log has more.
    """

    kind: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A session of which something would go: what a dry run lists.

    Attributes:
        kind: `closed_sessions` or `empty_sessions`.
    """

    kind: str
    session_id: UUID
    user_id: str
    name: str | None
    last_activity_at: datetime
    rows: int
    items: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of a page of work.

    Attributes:
        counted: How much it was.
        place: Where the next page starts; None if there is none.
        failures: What could not be removed.
        listing: In a dry run, the sessions.
    """

    counted: Counted
    place: str | None
    failures: Sequence[Failure] = ()
    listing: Sequence[Listing] = ()


@dataclass(slots=True)
class CleanupReport:
    """What a cleanup did, or in a dry run would do.

    Attributes:
        seconds: How long it took.
        next_cursor: Where to go on; None if nothing is left.
        kinds: How much of each kind.
        failures: What could not be removed, at most `FAILURES_NAMED`.
        sessions: In a dry run, what sessions are come to.
    """

    dry_run: bool
    kinds: dict[str, Counted]
    seconds: float = 0.0
    next_cursor: str | None = None
    failures: list[Failure] = field(default_factory=list)
    sessions: list[Listing] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self.next_cursor is None

    def add(self, kind: str, batch: Batch) -> None:
        """Take in what came of a page of work."""
        self.kinds[kind] += batch.counted
        self._name(batch.failures)
        self.sessions += batch.listing

    def after(self, earlier: CleanupReport) -> CleanupReport:
        """Return what both came to: this one, and the one that it went on from."""
        return replace(
            self,
            kinds={kind: earlier.kinds[kind] + counted for kind, counted in self.kinds.items()},
            seconds=earlier.seconds + self.seconds,
            failures=[*earlier.failures, *self.failures][:FAILURES_NAMED],
        )

    def _name(self, failures: Sequence[Failure]) -> None:
        self.failures += failures[: FAILURES_NAMED - len(self.failures)]
