"""What budgets look like in requests and responses."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from annotated_types import Interval
from pydantic import BaseModel, Field

from parley.http.numbers import A_NUMBER
from parley.http.schemas import RequestBody, Time, example
from parley.http.usage_schemas import Days, UsageReport
from parley.repository import user_budgets as repository
from parley.repository.fair_use import in_money
from parley.repository.usage import UsageOfDays
from parley.usage.told import dollars, nanodollars

TOKENS_MAX = 10**15
"""The largest budget: a number that nobody reaches, and sums of it are counted all the same."""

Tokens = Annotated[int, Interval(ge=0, le=TOKENS_MAX), A_NUMBER]
Usd = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,9})?$",
        description="US dollars, as a decimal, such as `12.50`.",
        examples=["12.50"],
    ),
]


def _nanodollars(usd: str | None) -> int | None:
    return None if usd is None else nanodollars(Decimal(usd))


def _usd(amount: int | None) -> str | None:
    return None if amount is None else dollars(amount)


def _in_its_unit(limit: str, amount: int) -> int | str:
    return dollars(amount) if in_money(limit) else amount


class BudgetChange(RequestBody):
    """What one user may spend; where nothing is given, or null, the settings hold."""

    model_config = example(tokens_per_day=200_000, tokens_per_month=3_000_000)

    tokens_per_day: Tokens | None = Field(
        None, description="Tokens in a day of UTC; with 0 nothing may begin."
    )
    tokens_per_month: Tokens | None = Field(None, description="The same, in a month.")
    usd_per_day: Usd | None = Field(None, description="What calls cost in a day of UTC.")
    usd_per_month: Usd | None = Field(None, description="The same, in a month.")

    def own(self) -> repository.OwnBudget:
        """Return it as it is kept."""
        return repository.OwnBudget(
            self.tokens_per_day,
            self.tokens_per_month,
            _nanodollars(self.usd_per_day),
            _nanodollars(self.usd_per_month),
        )


class BudgetLimit(BaseModel):
    """A limit of what may be spent, and how far it is used."""

    limit: str = Field(description="Its setting, in small letters.")
    unit: Literal["tokens", "usd"]
    budget: int | str = Field(description="What may be spent; dollars as a decimal in text.")
    used: int | str = Field(description="What is spent, or held for what runs; likewise.")
    renews_at: Time = Field(description="When the next day or month begins, by UTC.")
    near: bool = Field(description="Whether 80 % of it are used.")

    @classmethod
    def of(cls, bound: repository.Bound) -> Self:
        """Show a limit."""
        return cls(
            limit=bound.limit,
            unit="usd" if in_money(bound.limit) else "tokens",
            budget=_in_its_unit(bound.limit, bound.most),
            used=_in_its_unit(bound.limit, bound.used),
            renews_at=bound.renews_at,
            near=bound.near,
        )


class Budget(BaseModel):
    """What is set for one user alone (null: what the settings say), and all limits of theirs."""

    tokens_per_day: int | None
    tokens_per_month: int | None
    usd_per_day: str | None
    usd_per_month: str | None
    limits: list[BudgetLimit]

    @classmethod
    def of(cls, budget: repository.BudgetOfUser) -> Self:
        """Show a user's budget."""
        return cls(
            tokens_per_day=budget.own.tokens_per_day,
            tokens_per_month=budget.own.tokens_per_month,
            usd_per_day=_usd(budget.own.usd_per_day),
            usd_per_month=_usd(budget.own.usd_per_month),
            limits=[BudgetLimit.of(bound) for bound in budget.bounds],
        )


class DeploymentBudget(BaseModel):
    """What all users together may spend, as the settings say; nothing where they say nothing."""

    limits: list[BudgetLimit]


class OwnUsageReport(UsageReport):
    """What one spent, and all limits that one is under now, whatever days are asked for."""

    limits: list[BudgetLimit]

    @classmethod
    def of_user(cls, days: Days, usage: UsageOfDays, budget: repository.BudgetOfUser) -> Self:
        """Show what a user spent, and may spend."""
        shown = UsageReport.of(days, usage)
        return cls(**dict(shown), limits=[BudgetLimit.of(bound) for bound in budget.bounds])
