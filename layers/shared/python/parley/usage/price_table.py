"""The published prices: those that `genai-prices` knew when `make prices` last wrote the table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_FILE = Path(__file__).with_name("price_table.txt")
_NAMES = 1000  # how many are kept: who names the model may not fill the memory

Listed = tuple[int, int | None, int | None, int]
"""Of input, cached input, what goes into the cache, and output: picodollars a token."""


class _Variant(NamedTuple):
    """Prices, by how many tokens are sent, that hold from a day on or between two hours (UTC)."""

    steps: Sequence[Sequence[Any]]
    day: str
    hours: tuple[str, str] | None


def published(server: str, model: str, sent: int, at: datetime) -> Listed | None:
    """Return the published price of a model's tokens.

    Args:
        server: The server's address.
        model: The model's name, in any case.
        sent: How many tokens are sent: above some number, some models cost more.
        at: When they are.

    Returns:
        The price; None if the server or its model is not known.
    """
    at = at.astimezone(UTC)
    holding = [each for each in _variants(server, model.lower()) if _holds(each, at)]
    if not holding:
        return None
    steps = holding[-1].steps
    reached = [step for step in steps if sent > step[0]] or steps[:1]
    _, *price = reached[-1]
    return tuple(price)


def _holds(variant: _Variant, at: datetime) -> bool:
    if f"{at:%Y-%m-%d}" < variant.day:
        return False
    if variant.hours is None:
        return True
    (begin, end), now = variant.hours, f"{at:%H:%M}"
    return begin <= now < end if begin <= end else now >= begin or now < end


@lru_cache(_NAMES)
def _variants(server: str, model: str) -> tuple[_Variant, ...]:
    name = next((each for each, at in _addresses() if re.match(at, server)), None)
    if name is None:
        return ()
    found = _of_model(name, model)
    for other in _server(name)["also"]:  # who sells other servers' models
        found = found or _of_model(other, model)
    return tuple(
        _Variant(each["steps"], each.get("from", ""), tuple(each.get("hours", ())) or None)
        for each in found
    )


def _of_model(server: str, model: str) -> Sequence[Mapping[str, Any]]:
    known = _server(server)
    if model in known["names"]:
        return known["names"][model]  # type: ignore[no-any-return]
    return next((prices for rule, prices in known["rules"] if _fits(rule, model)), ())


def _fits(rule: Mapping[str, Any], model: str) -> bool:
    ((kind, wanted),) = rule.items()
    match kind:
        case "or":
            return any(_fits(part, model) for part in wanted)
        case "and":
            return all(_fits(part, model) for part in wanted)
        case "starts_with":
            return model.startswith(wanted.lower())
        case "ends_with":
            return model.endswith(wanted.lower())
        case "contains":
            return wanted.lower() in model
        case "regex":
            return re.search(wanted, model) is not None
    return bool(model == wanted.lower())


@cache
def _lines() -> Mapping[str, Sequence[str]]:
    """Return the servers' lines by their names, each with its address and what it sells."""
    _, *lines = _FILE.read_text(encoding="utf-8").splitlines()
    return {name: rest for name, *rest in (line.split("\t") for line in lines)}


def _addresses() -> Sequence[tuple[str, str]]:
    return [(name, address) for name, (address, _) in _lines().items()]


@cache
def _server(name: str) -> Mapping[str, Any]:
    """Read a server's line: most of the others are never asked for."""
    known: Mapping[str, Any] = json.loads(_lines()[name][1])
    return known
