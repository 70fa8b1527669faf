"""What calls of one model came to together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from parley.usage.tokens import Tokens

NAME_CHARS = 200
"""How much is kept of a model's name."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The sums of calls. Each is of what is known of them, and None if nothing is.

    Attributes:
        model: The model's name; empty for calls of several.
        calls: How many calls there were.
        input: Tokens sent, the cached ones among them.
        cached: Those of them that the server had in its cache.
        output: Tokens received, the reasoning among them.
        reasoning: Those of them that nobody sees.
        cost: In nanodollars.
        uncounted: Calls whose input or output is not known, or only in part in the sums.
        unpriced: Calls whose cost is not known, and not in the sum.
    """

    model: str = ""
    calls: int = 0
    input: int | None = 0
    cached: int | None = 0
    output: int | None = 0
    reasoning: int | None = 0
    cost: int | None = 0
    uncounted: int = 0
    unpriced: int = 0

    @classmethod
    def on_call(cls, model: str, tokens: Tokens, cost: int | None) -> Self:
        """Make what one call came to.

        Args:
            model: The model's name.
            tokens: What it took.
            cost: What that cost, in nanodollars.
        """
        return cls(
            model[:NAME_CHARS],
            1,
            tokens.input,
            tokens.cached,
            tokens.output,
            tokens.reasoning,
            cost,
            int(not tokens.are_counted),
            int(cost is None),
        )

    def plus(self, other: Spent) -> Spent:
        """Return the sums of these calls and others."""
        if not self.calls:
            return other
        if not other.calls:
            return self
        return Spent(
            self.model if self.model == other.model else "",
            self.calls + other.calls,
            _sum(self.input, other.input),
            _sum(self.cached, other.cached),
            _sum(self.output, other.output),
            _sum(self.reasoning, other.reasoning),
            _sum(self.cost, other.cost),
            self.uncounted + other.uncounted,
            self.unpriced + other.unpriced,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the sums as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave; what a later version adds is passed over."""
        return cls(**{name: kept[name] for name in cls.__slots__ if name in kept})


def in_all(spent: Iterable[Spent]) -> Spent:
    """Return the sums of all, of whichever models."""
    total = Spent()
    for each in spent:
        total = total.plus(each)
    return replace(total, model="")


def by_model(spent: Iterable[Spent]) -> tuple[Spent, ...]:
    """Return the sums of each model, in the order of the names."""
    sums: dict[str, Spent] = {}
    for each in spent:
        sums[each.model] = sums.get(each.model, Spent(each.model)).plus(each)
    return tuple(sums[name] for name in sorted(sums))


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other
