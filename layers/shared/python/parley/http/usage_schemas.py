"""What usage and its cost look like in responses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from parley.errors import InvalidField
from parley.repository import usage as repository
from parley.usage.spent import Spent
from parley.usage.told import told

Dollars = Annotated[str, Field(pattern=r"^\d+(\.\d{1,9})?$", examples=["0.002025"])]


class Usage(BaseModel):
    """What calls of models came to: sums of what is known, and null where nothing is."""

    model_calls: int
    input_tokens: int | None = Field(description="Tokens sent, the cached ones among them.")
    cached_tokens: int | None = Field(description="Those that the model's server had in its cache.")
    output_tokens: int | None = Field(description="Tokens received, the reasoning among them.")
    reasoning_tokens: int | None = Field(description="Those of them that are not shown.")
    cost_usd: Dollars | None = Field(description="In US dollars, as an exact decimal.")
    calls_without_tokens: int = Field(description="Calls that the sums of tokens leave out.")
    calls_without_cost: int = Field(description="Calls that the cost leaves out.")

    @classmethod
    def of(cls, spent: Spent) -> Self:
        """Show sums of calls."""
        return cls.model_validate(told(spent))


class TurnUsage(Usage):
    """What a turn's model calls came to, over all attempts."""


DAYS_MAX = 366


@dataclass(frozen=True, slots=True)
class Days:
    """The days that are asked for, both included."""

    first: date
    last: date

    @classmethod
    def of(cls, first: date | None, last: date | None) -> Self:
        """Take the days that a request names, or this month so far.

        Raises:
            InvalidField: They are in the wrong order, or too many.
        """
        last = last or datetime.now(UTC).date()
        first = first or last.replace(day=1)
        if first > last:
            raise InvalidField("from", f"must not be after to, which is {last}")
        if (last - first).days >= DAYS_MAX:
            raise InvalidField("from", f"must be at most {DAYS_MAX} days before the end of to")
        return cls(first, last)


class UsageGroup(BaseModel):
    """What was spent on one day, by one agent or user, or on one model."""

    name: str = Field(description="The day, or the name; empty for calls of an unknown model.")
    usage: Usage

    @classmethod
    def of(cls, group: repository.UsageGroup) -> Self:
        """Show the sums of a group."""
        return cls(name=group.name, usage=Usage.of(group.spent))


class UsageReport(BaseModel):
    """What was spent in the turns that ended on some days, those of deleted sessions among them."""

    first_day: date
    last_day: date
    total: Usage
    items: list[UsageGroup] = Field(description="Days in their order; others the dearest first.")
    left_out: int = Field(description="How many further groups there are; they are in the total.")

    @classmethod
    def of(cls, days: Days, usage: repository.UsageOfDays) -> Self:
        """Show what was spent."""
        return cls(
            first_day=days.first,
            last_day=days.last,
            total=Usage.of(usage.total),
            items=[UsageGroup.of(group) for group in usage.groups],
            left_out=usage.left_out,
        )
