"""Usage as it is told outside: the same fields of a call, a turn, a session, a day."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from parley.usage.spent import Spent

NANODOLLARS = 1_000_000_000
"""How many there are in a dollar."""


def told(spent: Spent) -> dict[str, Any]:
    """Return sums of calls by the names that the API has for them; null is what is not known."""
    return {
        "model_calls": spent.calls,
        "input_tokens": spent.input,
        "cached_tokens": spent.cached,
        "output_tokens": spent.output,
        "reasoning_tokens": spent.reasoning,
        "cost_usd": None if spent.cost is None else dollars(spent.cost),
        "calls_without_tokens": spent.uncounted,
        "calls_without_cost": spent.unpriced,
    }


def dollars(nanodollars: int) -> str:
    """Write an amount of money as an exact decimal, such as `0.002025`."""
    whole, part = divmod(nanodollars, NANODOLLARS)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".")


def nanodollars(amount: Decimal) -> int:
    """Return an amount of dollars as nanodollars, of which a part is none."""
    return int(amount * NANODOLLARS)
