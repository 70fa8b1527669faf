"""The sums of calls: of what is known, with how many calls they leave out."""

from __future__ import annotations

from parley.usage.spent import Spent, by_model, in_all
from parley.usage.tokens import Tokens

TOLD = Spent.on_call("a", Tokens(100, 80, None, 10, 4), 500)
UNTOLD = Spent.on_call("a", Tokens(), None)
OTHER = Spent.on_call("b", Tokens(7, None, None, 3, None), 20)


def test_sums_are_of_what_is_known() -> None:
    """Given a call of which nothing is known, then the sums leave it out, and say so."""
    assert in_all([TOLD, UNTOLD]) == Spent("", 2, 100, 80, 10, 4, 500, uncounted=1, unpriced=1)


def test_nothing_known_is_not_nothing() -> None:
    """Given no call with a price, then there is no sum; without any call it is 0."""
    assert (in_all([UNTOLD]).cost, in_all([UNTOLD]).input) == (None, None)
    assert (in_all([]).cost, in_all([]).input) == (0, 0)


def test_sums_by_model() -> None:
    """Given calls of two models, then each has its sum, in the order of the names."""
    sums = by_model([OTHER, TOLD, UNTOLD, OTHER])

    assert [(each.model, each.calls, each.cost) for each in sums] == [("a", 2, 500), ("b", 2, 40)]
    assert in_all(sums) == Spent("", 4, 114, 80, 16, 4, 540, uncounted=1, unpriced=1)


def test_sums_are_kept_as_json() -> None:
    """Given what a later version kept, then what this one does not know is passed over."""
    assert Spent.from_json(TOLD.to_json() | {"more": 1}) == TOLD
