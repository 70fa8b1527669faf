"""What one user may spend: the settings', or what an administrator lets that user spend instead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Row

from parley.repository.database import Database
from parley.repository.fair_use import UserBudget
from parley.repository.scope import SERVICE, OfUser
from parley.repository.statements import statement

WARNED_PERCENT = 80
"""How much of a budget is used when its user is near it."""


@dataclass(frozen=True, slots=True)
class OwnBudget:
    """What an administrator lets one user spend; None is what the settings say.

    Attributes:
        tokens_per_day: Tokens in a day of UTC; with 0 nothing may begin.
        tokens_per_month: The same, in a month.
        usd_per_day: Nanodollars in a day of UTC.
        usd_per_month: The same, in a month.
    """

    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    usd_per_day: int | None = None
    usd_per_month: int | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that a user is under, or all users together, and how far it is used.

    Attributes:
        limit: Its setting, in small letters.
        most: What may be spent, in tokens; or in nanodollars, if it is `in_money`.
        used: What is spent, or held for what runs.
        renews_at: When the next day or month begins.
    """

    limit: str
    most: int
    used: int
    renews_at: datetime

    @property
    def near(self) -> bool:
        """Whether 80 % of it are used."""
        return self.used > 0 and self.used * 100 >= self.most * WARNED_PERCENT


@dataclass(frozen=True, slots=True)
class BudgetOfUser:
    """What is set for one user alone, and all the limits that the user is under."""

    own: OwnBudget
    bounds: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class UserBudgets:
    """The budgets of users, and that of all together. Methods block, and raise `StoreUnavailable`.

    Attributes:
        settings: What users may spend for whom nothing else is set.
    """

    database: Database
    settings: UserBudget

    def read(self, user_id: str) -> BudgetOfUser:
        """Return what a user may spend and has spent. One round trip."""
        parameters = {"user_id": user_id, "limits": self._limits}
        rows = self.database.run(OfUser(user_id), _READ, parameters)
        own = OwnBudget(
            rows[0].tokens_per_day,
            rows[0].tokens_per_month,
            rows[0].nanodollars_per_day,
            rows[0].nanodollars_per_month,
        )
        return BudgetOfUser(own, tuple(_bound(row) for row in rows if row.most is not None))

    def read_of_all(self) -> tuple[Bound, ...]:
        """Return what all users together may spend and have spent. One round trip."""
        rows = self.database.run(SERVICE, _READ_OF_ALL, {"limits": self._limits})
        return tuple(_bound(row) for row in rows)

    def put(self, user_id: str, own: OwnBudget) -> None:
        """Let a user spend something else than the settings say, from the next call on.

        It goes for turns that run, too. The user is told anew when it is nearly used.
        """
        parameters = {
            "user_id": user_id,
            "tokens_per_day": own.tokens_per_day,
            "tokens_per_month": own.tokens_per_month,
            "nanodollars_per_day": own.usd_per_day,
            "nanodollars_per_month": own.usd_per_month,
        }
        self.database.run(SERVICE, _PUT, parameters)

    def remove(self, user_id: str) -> None:
        """Let a user spend what the settings say; it may be repeated."""
        self.database.run(SERVICE, _REMOVE, {"user_id": user_id})

    def warn(self) -> dict[str, int]:
        """Return how many users came near a limit since this was last asked, by limit.

        All users together are one, where they came near what they may spend. Each counts once for
        a day or a month, whoever asks, and again when another budget is set.
        """
        parameters = {"percent": WARNED_PERCENT, "limits": self._limits}
        rows = [
            *self.database.run(SERVICE, _WARN, parameters),
            *self.database.run(SERVICE, _WARN_OF_ALL, parameters),
        ]
        return {row.reached: row.users for row in rows}

    @property
    def _limits(self) -> str:
        return to_json(self.settings.limits).decode()


def _bound(row: Row[Any]) -> Bound:
    return Bound(row.reached, row.most, row.used, row.ends)


_READ = statement("read_budget")
_PUT = statement("put_budget")
_REMOVE = statement("remove_budget")
_WARN = statement("warn_of_budgets")
_WARN_OF_ALL = statement("warn_of_deployment")
_READ_OF_ALL = statement("read_deployment_budget")
