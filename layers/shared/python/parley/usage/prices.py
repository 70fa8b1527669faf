"""What tokens cost: a deployment's own prices, or those that the servers of models publish.

Money is kept as whole nanodollars, thousandths of a millionth of a dollar: sums of them are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic_core import from_json

from parley.usage.price_table import published
from parley.usage.tokens import Tokens

OPENAI = "https://api.openai.com/v1"
"""The server that is asked where none is named."""

DOLLARS_MAX = 1_000_000
"""The most that a million tokens may cost."""

_PICODOLLARS = 1_000_000  # of a token, in a dollar for a million of them
_KEYS = ("input", "cached_input", "cache_write", "output")


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost, in picodollars a token: a dollar for a million is a million.

    Attributes:
        input: A token that is sent.
        output: A token that comes back.
        cached: One of those sent that the server has in its cache; as the others if None.
        cache_write: One that it puts there; as the others if None.
    """

    input: int
    output: int
    cached: int | None = None
    cache_write: int | None = None

    def of(self, tokens: Tokens) -> int | None:
        """Return what tokens cost in nanodollars, rounded once; None if they are not known."""
        if tokens.input is None or tokens.output is None:
            return None
        cached = min(tokens.cached or 0, tokens.input)
        written = min(tokens.cache_write or 0, tokens.input - cached)
        picodollars = (
            (tokens.input - cached - written) * self.input
            + cached * (self.input if self.cached is None else self.cached)
            + written * (self.input if self.cache_write is None else self.cache_write)
            + tokens.output * self.output
        )
        return (picodollars + 500) // 1000


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of one server's models.

    Attributes:
        own: What a deployment says itself, by the model's name: it goes before what is published.
        server: The address of the server that is asked.
    """

    own: Mapping[str, Price] = field(default_factory=dict)
    server: str = OPENAI

    def cost(self, model: str, tokens: Tokens, at: datetime | None = None) -> int | None:
        """Return what a call costs, in nanodollars.

        Args:
            model: The model's name, as the call names it.
            tokens: What the call took, or may take.
            at: When, with its offset; now if None. Some prices begin on a day, or go by the hour.

        Returns:
            The cost; None if it is not known what the call took, or what the model costs.
        """
        if tokens.input is None or tokens.output is None:
            return None
        if (price := self.own.get(model)) is None:
            listed = published(self.server, model, tokens.input, at or datetime.now(UTC))
            if listed is None:
                return None
            sent, cached, cache_write, made = listed
            price = Price(sent, made, cached, cache_write)
        return price.of(tokens)

    def rate(self, model: str, at: datetime | None = None) -> tuple[int, int] | None:
        """Return what a token costs that is sent and one that comes back, in picodollars.

        That of a short request: what a long one costs, `cost` tells. None if it is not known.
        """
        if (price := self.own.get(model)) is not None:
            return price.input, price.output
        listed = published(self.server, model, 0, at or datetime.now(UTC))
        return None if listed is None else (listed[0], listed[3])


def own_prices(text: str) -> dict[str, Price]:
    """Read a deployment's own prices.

    Args:
        text: JSON: by a model's name, dollars for a million tokens as `input`, `output`, and, where
            they differ, `cached_input` and `cache_write`.

    Raises:
        ValueError: It is no such thing; says where and why.
    """
    try:
        # As decimals: 0.1 is to be a tenth.
        given = from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        raise ValueError(
            'must be JSON, such as {"gpt-5": {"input": "1.25", "output": "10"}}'
        ) from None
    if not isinstance(given, dict):
        raise ValueError("must be a JSON object of prices by the names of models")
    return {model: _own_price(model, price) for model, price in given.items()}


def _own_price(model: str, given: Any) -> Price:
    if not isinstance(given, dict):
        raise ValueError(f"has for {model} no object with input and output")
    for key in given:
        if key not in _KEYS:
            raise ValueError(f"has for {model} {key}, which is none of {', '.join(_KEYS)}")
    for key in ("input", "output"):
        if key not in given:
            raise ValueError(f"has for {model} no {key}")
    return Price(
        _picodollars(model, "input", given["input"]),
        _picodollars(model, "output", given["output"]),
        *(
            None if given.get(key) is None else _picodollars(model, key, given[key])
            for key in ("cached_input", "cache_write")
        ),
    )


def _picodollars(model: str, key: str, given: Any) -> int:
    fault = ValueError(
        f"has for {model} as {key} {given!r}: dollars for a million tokens are a number from 0 to"
        f" {DOLLARS_MAX} with at most 6 places"
    )
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise fault
    try:
        dollars = Decimal(str(given))  # of a float, the shortest that it is written as
    except InvalidOperation:
        raise fault from None
    if not dollars.is_finite() or not 0 <= dollars <= DOLLARS_MAX:
        raise fault
    exact = dollars * _PICODOLLARS
    if exact != int(exact):
        raise fault
    return int(exact)
