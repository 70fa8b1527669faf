"""What one user may have, so that a script of one does not slow the others.

What is counted is counted where it is made, in the same statement, beside which no other of the
same user's runs (`OfUser.alone`): nothing is kept that could drift from what is there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FairUse:
    """The limits; 0 is none.

    Attributes:
        open_turns: Turns that are not over, those that wait among them.
        turns_per_minute: Turns begun within any minute.
        sessions: Sessions.
        metadata_bytes: What the metadata of all sessions comes to, as JSON.
    """

    open_turns: int = 0
    turns_per_minute: int = 0
    sessions: int = 0
    metadata_bytes: int = 0

    @property
    def counted(self) -> bool:
        """Whether anything has to be counted."""
        return self != UNLIMITED


UNLIMITED = FairUse()
"""No limits."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that is in the way.

    Attributes:
        limit: Its setting, in small letters.
        most: What may be.
        renews: In how many seconds there is room again; None where that is the user's to make.
    """

    limit: str
    most: int
    renews: float | None
