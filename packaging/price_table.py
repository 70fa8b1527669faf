"""Write the table of prices from `genai-prices`: `make prices`, with the version that it names.

The package takes half a second and 70 MB to give its first price, which the functions cannot spare;
see docs/decisions/prices-in-a-table.md. The table has what the price of text depends on, for every
server that the package knows by its address, one server a line, so that a function parses only the
line of the server that it asks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types
from genai_prices.data import providers

_KINDS = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")
_PICODOLLARS = 1_000_000  # of a token, in a dollar for a million of them


def _picodollars(price: Decimal) -> int:
    return round(price * _PICODOLLARS)  # some have been floats: 0.18000000000000002


def _at(prices: types.ModelPrice, above: int) -> list[int | None]:
    """Return the four prices for requests with more than so many tokens."""
    found: list[int | None] = []
    for kind in _KINDS:
        price = getattr(prices, kind, None)
        if isinstance(price, types.TieredPrices):
            reached = [tier.price for tier in price.tiers if tier.start <= above]
            price = reached[-1] if reached else price.base
        found.append(None if price is None else _picodollars(price))
    return found


def _steps(prices: types.ModelPrice) -> list[list[int | None]] | None:
    """Return from how many tokens on which prices hold; None if they are not those of text."""
    if getattr(prices, "input_mtok", None) is None or getattr(prices, "output_mtok", None) is None:
        return None
    tiered = [getattr(prices, kind, None) for kind in _KINDS]
    starts = {0} | {
        tier.start
        for price in tiered
        if isinstance(price, types.TieredPrices)
        for tier in price.tiers
    }
    return [[start, *_at(prices, start)] for start in sorted(starts)]


def _variants(model: types.ModelInfo, today: date) -> list[dict[str, Any]] | None:
    """Return the prices from the first to the last, of which the last that holds is to be paid."""
    given = model.prices
    if isinstance(given, types.ModelPrice):
        given = [types.ConditionalPrice(prices=given)]
    variants: list[dict[str, Any]] = []
    for each in given:
        steps = _steps(each.prices)
        if steps is None:
            return None
        variant: dict[str, Any] = {"steps": steps}
        match each.constraint:
            case types.StartDateConstraint(start_date=start):
                if start > today:
                    variant["from"] = start.isoformat()
                else:
                    variants.clear()  # nobody asks for what was paid before
            case types.TimeOfDateConstraint(start_time=start, end_time=end):
                variant["hours"] = [f"{start:%H:%M}", f"{end:%H:%M}"]
        variants.append(variant)
    return variants


def _clause(match: Any) -> Any:
    return {
        name.rstrip("_"): [_clause(part) for part in value] if isinstance(value, list) else value
        for name, value in vars(match).items()
    }


def _names(clause: Any) -> Iterator[str]:
    """Yield the names that a model has itself."""
    match clause:
        case {"equals": name}:
            yield name.lower()
        case {"or": parts}:
            for part in parts:
                yield from _names(part)


def _others(clause: Any) -> Any:
    """Return the rule for all other names of a model; None if there are none."""
    match clause:
        case {"equals": _}:
            return None
        case {"or": parts}:
            left = [other for part in parts if (other := _others(part)) is not None]
            return {"or": left} if len(left) > 1 else (left[0] if left else None)
    return clause


def _server(provider: types.Provider, today: date) -> dict[str, Any]:
    names: dict[str, Any] = {}
    rules: list[Any] = []
    for model in provider.models:
        variants = _variants(model, today)
        if variants is None:
            continue
        clause = _clause(model.match)
        for name in _names(clause):
            names.setdefault(name, variants)
        if (rule := _others(clause)) is not None:
            rules.append([rule, variants])
    also = provider.fallback_model_providers or []
    return {"names": names, "rules": rules, "also": also}


def main(path: Path) -> None:
    """Write the table."""
    today = date.today()
    head = {"from": f"genai-prices {version('genai-prices')}", "made": today.isoformat()}
    lines = [json.dumps(head)]
    for provider in providers:
        server = _server(provider, today)
        if server["names"] or server["rules"] or server["also"]:
            body = json.dumps(server, separators=(",", ":"))
            lines.append("\t".join((provider.id, provider.api_pattern, body)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {len(lines) - 1} servers, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
