"""What one user may have, so that a script of one does not slow the others.

What is counted is counted where it is made, in the same statement, beside which no other of the
same user's runs (`OfUser.alone`): nothing is kept that could drift from what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FairUse:
    """The limits; 0 is none.

    Attributes:
        open_turns: Turns that are not over, those that wait among them.
        turns_per_minute: Turns begun within any minute.
        sessions: Sessions.
        metadata_bytes: What the metadata of all sessions comes to, as JSON.
        streams: Streams that are told to readers at a time.
    """

    open_turns: int = 0
    turns_per_minute: int = 0
    sessions: int = 0
    metadata_bytes: int = 0
    streams: int = 0

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
        used: What was used, of a budget.
        renews_at: When a budget begins anew, by Postgres's clock.
        held: What of that is only held, for calls of other turns that are not over.
        expected: What the calls that it has no room for are expected to take.
    """

    limit: str
    most: int
    renews: float | None
    used: int | None = None
    renews_at: datetime | None = None
    held: int = 0
    expected: int = 0


@dataclass(frozen=True, slots=True)
class UserBudget:
    """What one user may spend, and all users together, by days and months of UTC; 0 is no limit.

    Attributes:
        tokens_per_day: Tokens of one user.
        usd_per_day: What one user's calls cost, in nanodollars.
        all_tokens_per_day: Tokens of all users together.
        all_usd_per_day: What their calls cost, in nanodollars.
        answer_tokens: What an answer is taken to come to before it is there.
    """

    tokens_per_day: int = 0
    tokens_per_month: int = 0
    answer_tokens: int = 4_096
    usd_per_day: int = 0
    usd_per_month: int = 0
    all_tokens_per_day: int = 0
    all_tokens_per_month: int = 0
    all_usd_per_day: int = 0
    all_usd_per_month: int = 0

    @property
    def limits(self) -> dict[str, int]:
        """What is limited, by its setting in small letters."""
        every = {
            "user_tokens_per_day": self.tokens_per_day,
            "user_tokens_per_month": self.tokens_per_month,
            "user_usd_per_day": self.usd_per_day,
            "user_usd_per_month": self.usd_per_month,
            "deployment_tokens_per_day": self.all_tokens_per_day,
            "deployment_tokens_per_month": self.all_tokens_per_month,
            "deployment_usd_per_day": self.all_usd_per_day,
            "deployment_usd_per_month": self.all_usd_per_month,
        }
        return {limit: most for limit, most in every.items() if most > 0}

    @property
    def is_set(self) -> bool:
        """Whether anything has to be counted."""
        return bool(self.limits)

    @property
    def counts_money(self) -> bool:
        """Whether it has to be known what calls cost."""
        return any(in_money(limit) for limit in self.limits)


UNBOUNDED = UserBudget()
"""No budget."""

HELD_SECONDS = 10.0
"""After how long to come back where calls that are not over hold what there would be room in."""


def in_money(limit: str) -> bool:
    """Return whether a limit is of nanodollars, and not of tokens."""
    return "_usd" in limit
