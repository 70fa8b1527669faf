"""The scope of a transaction: whose rows it may see and change.

Every transaction is begun in one. Postgres holds it against each row by row-level security
(`row_security`), below whatever the statement says; a transaction that was begun in none sees no
user's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

USER_SETTING = "parley.user"
"""The setting of a transaction that the policies go by: a user's id, or nothing for nobody."""


@dataclass(frozen=True, slots=True)
class OfUser:
    """The rows of one user: for all that is done in their name, and for what a tool does.

    Attributes:
        alone: Whether the transaction waits until no other of this user's that says so goes on, and
            has others wait for it: what it counts of the user's is then whole. Not for one that may
            take long.
        rows_alone: The same, among those that count rows of a project's own.
    """

    user_id: str
    alone: bool = False
    rows_alone: bool = False


@dataclass(frozen=True, slots=True)
class OfSession:
    """The rows of the user whose session it is, found by Postgres in the same round trip.

    For who was told of a session only, such as a worker. Nobody's, if it is not there.
    """

    session_id: UUID


@dataclass(frozen=True, slots=True)
class OfService:
    """All rows: for retention, recovery and administration, under a login of their own."""


SERVICE = OfService()
"""The only one of its kind."""

Scope = OfUser | OfSession | OfService
