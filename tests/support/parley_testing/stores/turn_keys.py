"""Names of turns for tests that need one, and not which."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from parley.ids import TurnKey, Voucher


def numbered(number: int) -> TurnKey:
    """Name the turn of that number, always the same one."""
    return TurnKey(number, UUID(int=7 << 76 | 2 << 62 | number))


def other_turn(number: int) -> TurnKey:
    """Name another turn that was given the same number."""
    return TurnKey(number, UUID(int=1 << 100 | 7 << 76 | 2 << 62 | number))


def pairs(vouched: Iterable[Voucher]) -> list[tuple[int, int]]:
    """Return number and attempt of vouchers, for tests that do not care whose they are."""
    return [(each.number, each.attempt) for each in vouched]
